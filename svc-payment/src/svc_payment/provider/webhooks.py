"""Signed webhooks as real providers send them: some twice, some late, so in no order, and tried again a few times."""

import asyncio
import json
import time

import aiohttp
from tenacity import AsyncRetrying, RetryError, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from svc_payment.provider.ledger import Entry, share
from svc_payment.provider.settings import ProviderSettings
from svc_payment.webhooks import HEADER, sign

_ATTEMPTS = 5
_ACCEPTED = 300


class _NotTaken(Exception):
    """Raised when the shop did not take a webhook."""


class Webhooks:
    """Tells the shop in the background; what it never takes is given up after a few attempts."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Make the session."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))

    async def close(self) -> None:
        """Stop telling."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def tell(self, entry: Entry) -> None:
        """Send an entry's webhook, once or twice, at once or late."""
        late = share("late", entry.id) < self._settings.webhook_late_rate
        delay = self._settings.webhook_late_seconds if late else 0.0
        self._send(entry, delay)
        if share("duplicate", entry.id) < self._settings.webhook_duplicate_rate:
            self._send(entry, delay)

    def _send(self, entry: Entry, delay: float) -> None:
        task = asyncio.create_task(self._deliver(entry, delay))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, entry: Entry, delay: float) -> None:
        await asyncio.sleep(delay)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((_NotTaken, aiohttp.ClientError, TimeoutError)),
            wait=wait_random_exponential(multiplier=0.2, max=5.0),
            stop=stop_after_attempt(_ATTEMPTS),
        )
        try:
            await retrying(self._post, entry)
        except RetryError as error:
            print(f"webhook {entry.id} given up: {error}", flush=True)  # noqa: T201 -- its log is standard output

    async def _post(self, entry: Entry) -> None:
        assert self._session is not None  # noqa: S101 -- open() comes first
        kind = "refund.settled" if entry.kind == "refund" else f"charge.{entry.status}"
        body = json.dumps(
            {
                "id": f"wh_{entry.id}",
                "type": kind,
                "charge_id": entry.charge_id or entry.id,
                "reference": entry.reference,
                "reason": entry.reason,
            }
        ).encode()
        signature = sign(self._settings.webhook_secret.get_secret_value(), body, at=int(time.time()))
        headers = {HEADER: signature, "Content-Type": "application/json"}
        async with self._session.post(self._settings.webhook_url, data=body, headers=headers) as answer:
            if answer.status >= _ACCEPTED:
                raise _NotTaken(f"{answer.status} for {entry.id}")
