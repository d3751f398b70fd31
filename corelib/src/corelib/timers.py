"""Moves due timers into the outbox: each once, never early, soon after its time."""

import asyncio

from corelib.metrics import TIMERS_FIRED
from corelib.store import Store
from corelib.wake import EventWake

POLL_SECONDS = 0.25
_LIMIT = 100


class Timers:
    """Asks the store for what is due. Any number of replicas may run it: the store fires each timer once."""

    name = "timers"

    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self, stop: asyncio.Event) -> None:
        """Fire what is due until told to stop."""
        pause = EventWake()
        stopping = asyncio.create_task(_wake_on(stop, pause))
        try:
            while not stop.is_set():
                fired = await self._store.fire(_LIMIT)
                TIMERS_FIRED.inc(fired)
                if fired < _LIMIT:
                    await pause.wait(POLL_SECONDS)
        finally:
            stopping.cancel()


async def _wake_on(stop: asyncio.Event, pause: EventWake) -> None:
    await stop.wait()
    pause.set()
