"""A part of a service that the supervisor runs: relay, consumer, timers, HTTP server."""

import asyncio
from typing import Protocol


class Part(Protocol):
    """Runs until told to stop, then drains; an exception means it crashed, or waits, and it is started again.

    One that waits for a store or broker without ending has `waits_for`: the reason, empty while it works.
    """

    name: str

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is in hand and return."""
        ...
