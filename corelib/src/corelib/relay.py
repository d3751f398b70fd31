"""Carries committed records from one outbox to one broker: in order per key, at least once, by one relay at a time.

A crash between send and acknowledge sends again; consumers' marks make that harmless. Broker trouble spends no
attempts: the relay waits and tries again for as long as it takes.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from uuid import uuid4

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from corelib.broker import Publisher
from corelib.errors import LeaseLost, Unavailable
from corelib.metrics import OUTBOX_LAG, RELAY_ACTIVE, RELAY_FAILURES, RELAYED
from corelib.store import OutboxReader, Pending, Wake

_STANDBY_SECONDS = 1.0
_RENEW_SECONDS = 2.0
_SHORTEST_POLL, _LONGEST_POLL = 0.002, 0.1

log = structlog.get_logger(__name__)


class Relay:
    """A part that drains an outbox while it holds the lease, and stands by while another does."""

    def __init__(
        self,
        name: str,
        reader: OutboxReader,
        publisher: Publisher,
        wake: Wake,
        *,
        holder: str | None = None,
        batch: int = 2_000,
    ) -> None:
        self.name = f"relay-{name}"
        self._relay = name
        self._reader = reader
        self._publisher = publisher
        self._wake = wake
        self._holder = holder or str(uuid4())
        self._batch = batch
        self._renewed = 0.0
        self._measured = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until told to stop, then give the lease up. Raises nothing that waiting can mend."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((Unavailable, LeaseLost)),
            wait=wait_random_exponential(multiplier=0.05, max=5.0),
            before_sleep=self._failed,
            stop=lambda _: stop.is_set(),
            reraise=True,
        )
        while not stop.is_set():
            try:
                await retrying(self._until_stopped, stop)
            except (Unavailable, LeaseLost):
                break
        RELAY_ACTIVE.labels(self._relay).set(0)

    async def _until_stopped(self, stop: asyncio.Event) -> None:
        poll = _SHORTEST_POLL
        try:
            while not stop.is_set():
                if not await self._hold():
                    await self._rest(stop, _STANDBY_SECONDS)
                    continue
                pending = await self._reader.read(self._batch)
                await self._measure(pending)
                if pending:
                    await self._deliver(pending, stop)
                    poll = _SHORTEST_POLL
                else:
                    await self._wake.wait(poll)
                    poll = min(poll * 2, _LONGEST_POLL)
        finally:
            if self._renewed:
                self._renewed = 0.0
                await self._reader.release()

    async def _hold(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._renewed and now - self._renewed < _RENEW_SECONDS:
            return True
        held = await self._reader.acquire(self._holder)
        self._renewed = now if held else 0.0
        RELAY_ACTIVE.labels(self._relay).set(1 if held else 0)
        return held

    async def _deliver(self, pending: Sequence[Pending], stop: asyncio.Event) -> None:
        """Send until all is acknowledged: the reader moves on only past a whole read."""
        pause = _SHORTEST_POLL
        while pending:
            sent = await self._publisher.send([entry.record for entry in pending])
            done = [entry for entry, ok in zip(pending, sent, strict=True) if ok]
            if done:
                await self._reader.acknowledge(done)
                for channel, count in Counter(entry.record.channel for entry in done).items():
                    RELAYED.labels(self._relay, channel).inc(count)
            pending = [entry for entry, ok in zip(pending, sent, strict=True) if not ok]
            if not pending or stop.is_set():
                return
            RELAY_FAILURES.labels(self._relay).inc()
            log.warning("records refused by the broker, sending them again", relay=self._relay, count=len(pending))
            await self._rest(stop, pause)
            pause = min(pause * 2, _STANDBY_SECONDS)
            await self._hold()

    async def _measure(self, pending: Sequence[Pending]) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._measured >= 1:
            self._measured = now
            OUTBOX_LAG.labels(self._relay).set(await self._reader.lag_seconds() if pending else 0.0)

    async def _rest(self, stop: asyncio.Event, seconds: float) -> None:
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            return

    def _failed(self, state: RetryCallState) -> None:
        RELAY_FAILURES.labels(self._relay).inc()
        error = state.outcome.exception() if state.outcome else None
        log.warning("relay waits for its store or broker", relay=self._relay, reason=str(error))
