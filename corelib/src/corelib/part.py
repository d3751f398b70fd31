"""A part of a service that the supervisor runs: a relay, a consumer, timers, what keeps a store in order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

_DRAIN_SECONDS = 5.0


class Part(Protocol):
    """Runs until told to stop, then drains; an exception means it crashed, or waits, and it is started again.

    One that waits for a store or broker without ending has `waits_for`: the reason, empty while it works.
    """

    name: str

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is in hand and return."""
        ...


@contextlib.asynccontextmanager
async def ends_soon_after(stop: asyncio.Event, *, seconds: float = _DRAIN_SECONDS) -> AsyncIterator[None]:
    """Cancel the block if it goes on for longer than so many seconds after `stop` is set: it waits for what is away.

    For what may be left in hand, as whoever comes next does it again.
    """
    try:
        async with asyncio.timeout(None) as limit:
            watching = asyncio.create_task(_watch(stop, limit, seconds))
            try:
                yield
            finally:
                watching.cancel()
    except TimeoutError:
        if not limit.expired():
            raise


async def _watch(stop: asyncio.Event, limit: asyncio.Timeout, seconds: float) -> None:
    await stop.wait()
    limit.reschedule(asyncio.get_running_loop().time() + seconds)


async def rest(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, so many seconds at most; return whether it is set.

    Not `asyncio.wait_for`: on Python 3.11 it loses a cancellation that comes together with what it waits for.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
