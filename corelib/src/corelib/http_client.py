"""Calls to other HTTP services: pooled connections, a deadline for all attempts together, retries of what is safe."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
import orjson
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from corelib.errors import Unavailable
from corelib.tracing import current_traceparent

_RETRIED = frozenset({429, 502, 503, 504})
_SHOWN = 200
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


@dataclass(frozen=True)
class Answer:
    """A final answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body, parsed. Raises `ValueError` where it is no JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"the body of an answer {self.status} is no JSON: {self.body[:_SHOWN]!r}") from error


class HttpClient:
    """A resource with one session to one peer; `name` appears in errors and health."""

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        deadline: timedelta = timedelta(seconds=5),
        attempts: int = 3,
        connections: int = 50,
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._deadline = deadline
        self._attempts = attempts
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the session; nothing is sent."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._connections)
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        deadline: timedelta | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Return the answer. Raises `Unavailable` when the deadline ends or every attempt failed.

        Methods that are safe to repeat, and calls with an `idempotency_key`, are tried again with full jitter.
        """
        sent = {"Content-Type": "application/json", **(headers or {})}
        if idempotency_key is not None:
            sent["Idempotency-Key"] = idempotency_key
        if (traceparent := current_traceparent()) is not None:
            sent.setdefault("traceparent", traceparent)
        repeatable = method in _SAFE or idempotency_key is not None
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            stop=stop_after_attempt(self._attempts if repeatable else 1),
            reraise=True,
        )
        body = None if json is None else orjson.dumps(json)
        seconds = (deadline or self._deadline).total_seconds()
        try:
            async with asyncio.timeout(seconds):
                return await retrying(self._attempt, method, path, body, sent)
        except TimeoutError as error:
            raise Unavailable(self.name, f"no answer to {method} {path} within {seconds:g} s") from error

    async def _attempt(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        if self._session is None:
            await self.open()
        assert self._session is not None  # noqa: S101 -- for the type checker: open() has just made it
        try:
            async with self._session.request(method, f"{self._base_url}{path}", data=body, headers=headers) as answer:
                if answer.status in _RETRIED:
                    raise Unavailable(self.name, f"{method} {path} was answered {answer.status}")
                return Answer(answer.status, dict(answer.headers), await answer.read())
        except aiohttp.ClientError as error:
            raise Unavailable(self.name, f"{method} {path}: {type(error).__name__} {error}") from error
