"""A part of a service that the supervisor runs: relay, consumer, timers, HTTP server."""

import asyncio
import contextlib
from typing import Protocol


class Part(Protocol):
    """Runs until told to stop, then drains; an exception means it crashed, or waits, and it is started again.

    One that waits for a store or broker without ending has `waits_for`: the reason, empty while it works.
    """

    name: str

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is in hand and return."""
        ...


async def rest(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, so many seconds at most; return whether it is set.

    Not `asyncio.wait_for`: on Python 3.11 it loses a cancellation that comes together with what it waits for.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
