"""Runs a service's parts: what crashes is started again, what keeps crashing is given up, and liveness turns red.

Trouble of a store or broker is no crash, and no restart of the process mends it: a part that ends with it is started
again with a pause in between, for as long as it takes.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog
from tenacity import wait_random_exponential
from tenacity.wait import wait_base

from corelib.cancellation import own_cancellation_only
from corelib.errors import Conflict, EraChanged, LeaseLost, Unavailable
from corelib.metrics import RESTARTS
from corelib.part import Part, rest
from corelib.retry import pause_of

_WAIT = wait_random_exponential(multiplier=0.1, max=10.0)
_WINDOW_SECONDS = 300.0
_MOST_CRASHES = 10
_TROUBLE = (Unavailable, Conflict, LeaseLost, EraChanged)
# What a part that runs for so long had to complain of is over, or takes so long that its dependency's check tells.
_WELL_SECONDS, _MOST_WELL_SECONDS = 5.0, 120.0

log = structlog.get_logger(__name__)


class Supervisor:
    """Keeps parts running until told to stop.

    `failed` names those it has given up; `waiting` those that a store or broker keeps from working, and why.
    """

    def __init__(self, parts: Sequence[Part], *, most_crashes: int = _MOST_CRASHES, wait: wait_base = _WAIT) -> None:
        self._parts = parts
        self._most_crashes = most_crashes
        self._wait = wait
        self.failed: set[str] = set()
        self._waiting: dict[str, str] = {}

    @property
    def waiting(self) -> dict[str, str]:
        """Return what parts wait for, by their names: those that end with it, and those that go on trying."""
        going_on = {part.name: reason for part in self._parts if (reason := getattr(part, "waits_for", ""))}
        return self._waiting | going_on

    async def run(self, stop: asyncio.Event) -> None:
        """Return when every part has drained after `stop`."""
        await asyncio.gather(*(self._keep(part, stop) for part in self._parts))

    async def _keep(self, part: Part, stop: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        crashes: deque[float] = deque()
        troubles, well = 0, _WELL_SECONDS
        while not stop.is_set():
            began = clock()
            trouble = await self._run(part, stop, well)
            if trouble is not None:
                lasted = clock() - began
                troubles = troubles + 1 if lasted < well else 1
                # One that takes its time to fail is not well before it has taken longer.
                well = min(_MOST_WELL_SECONDS, max(_WELL_SECONDS, 2 * lasted))
                self._wait_for(part, trouble, troubles)
                await rest(stop, pause_of(self._wait, troubles))
                continue
            if stop.is_set():
                return
            RESTARTS.labels(part.name).inc()
            crashes.append(clock())
            while crashes[0] < clock() - _WINDOW_SECONDS:
                crashes.popleft()
            if len(crashes) >= self._most_crashes:
                log.error("part given up", part=part.name, crashes=len(crashes))
                self.failed.add(part.name)
                return
            await rest(stop, pause_of(self._wait, len(crashes)))

    async def _run(self, part: Part, stop: asyncio.Event, well_seconds: float) -> Exception | None:
        """Run a part to its end; return the trouble that it ended with, None if it crashed, quit or drained."""
        well = asyncio.get_running_loop().call_later(well_seconds, self._waiting.pop, part.name, None)
        try:
            with own_cancellation_only:
                await part.run(stop)
        except _TROUBLE as error:
            return error
        except Exception:
            log.exception("part crashed", part=part.name)
        else:
            if not stop.is_set():
                log.error("part ended by itself", part=part.name)
        finally:
            well.cancel()
        self._waiting.pop(part.name, None)
        return None

    def _wait_for(self, part: Part, trouble: Exception, troubles: int) -> None:
        reason = str(trouble) or repr(trouble)
        log.warning("part waits for its store or broker", part=part.name, reason=reason)
        # Once is soon over, and a lost race says nothing of whether requests can be served.
        if troubles > 1 and not isinstance(trouble, Conflict):
            self._waiting[part.name] = reason
