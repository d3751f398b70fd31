"""The in-process signal from a commit to the relay."""

import asyncio

from corelib.part import rest


class EventWake:
    """A `Wake` on asyncio.Event: signals before a wait are kept, many become one."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the sleeper."""
        self._event.set()

    async def wait(self, timeout: float) -> None:  # noqa: ASYNC109 -- a bounded sleep, not a cancelled call
        """Return at the next signal, or after `timeout` seconds; a signal is taken by one wait."""
        await rest(self._event, timeout)
        self._event.clear()
