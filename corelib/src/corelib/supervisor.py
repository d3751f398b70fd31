"""Runs a service's parts: one that crashes is started again, one that keeps crashing turns liveness red."""

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog
from tenacity import wait_random_exponential
from tenacity.wait import wait_base

from corelib.metrics import RESTARTS
from corelib.part import Part
from corelib.retry import pause_of

_WAIT = wait_random_exponential(multiplier=0.1, max=10.0)
_WINDOW_SECONDS = 300.0
_MOST_CRASHES = 10

log = structlog.get_logger(__name__)


class Supervisor:
    """Keeps parts running until told to stop. `failed` names those it has given up."""

    def __init__(self, parts: Sequence[Part], *, most_crashes: int = _MOST_CRASHES, wait: wait_base = _WAIT) -> None:
        self._parts = parts
        self._most_crashes = most_crashes
        self._wait = wait
        self.failed: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Return when every part has drained after `stop`."""
        await asyncio.gather(*(self._keep(part, stop) for part in self._parts))

    async def _keep(self, part: Part, stop: asyncio.Event) -> None:
        crashes: deque[float] = deque()
        while not stop.is_set():
            try:
                await part.run(stop)
            except Exception:
                log.exception("part crashed", part=part.name)
            else:
                if stop.is_set():
                    return
                log.error("part ended by itself", part=part.name)
            RESTARTS.labels(part.name).inc()
            now = asyncio.get_running_loop().time()
            crashes.append(now)
            while crashes[0] < now - _WINDOW_SECONDS:
                crashes.popleft()
            if len(crashes) >= self._most_crashes:
                log.error("part given up", part=part.name, crashes=len(crashes))
                self.failed.add(part.name)
                return
            await self._pause(stop, len(crashes))

    async def _pause(self, stop: asyncio.Event, crashes: int) -> None:
        seconds = pause_of(self._wait, crashes)
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            return
