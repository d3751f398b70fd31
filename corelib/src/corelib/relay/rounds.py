"""How a relay goes on, whatever fails: in rounds, with growing pauses between those that failed."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from tenacity import wait_random_exponential

from corelib.errors import EraChanged, LeaseLost, Unavailable
from corelib.part import rest
from corelib.retry import pause_of
from corelib.stages import Progress

STANDBY_SECONDS = 1.0
RENEW_SECONDS = 2.0
SHORTEST_POLL, LONGEST_POLL = 0.002, 0.1

_MENDED_BY_WAITING = (Unavailable, LeaseLost, EraChanged)
_WAITS = wait_random_exponential(multiplier=0.05, max=5.0)


async def go_on(
    work: Callable[[asyncio.Event], Awaitable[None]],
    stop: asyncio.Event,
    progress: Progress,
    lag_seconds: Callable[[], Awaitable[float]],
) -> None:
    """Work until told to stop. Raises nothing that waiting can mend: that is told by `progress`, and tried again."""
    while not stop.is_set():
        try:
            await work(stop)
        except _MENDED_BY_WAITING as error:
            if stop.is_set():
                break
            progress.fails(error)
            with contextlib.suppress(*_MENDED_BY_WAITING):  # without its store nobody knows what waits
                progress.lags(await lag_seconds())
            await rest(stop, pause_of(_WAITS, progress.failures))
    progress.stands_by()
