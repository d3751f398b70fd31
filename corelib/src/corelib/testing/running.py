"""For tests: a whole service on a free port, parts by themselves, and a condition that is waited for."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from corelib.part import Part
from corelib.service import Service

_START_SECONDS = 60.0
_POLL_SECONDS = 0.01
_STOP_SECONDS = 30.0


def free_port() -> int:
    """Return a port of this machine that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[str]:
    """Serve a service while the block runs; gives its URL. Raises what keeps it from starting."""
    stop = asyncio.Event()
    serving = asyncio.create_task(service.serve(stop))
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not service.health.started and not serving.done():  # noqa: ASYNC110 -- health has flags, no events
                await asyncio.sleep(_POLL_SECONDS)
        if serving.done():
            serving.result()
        yield service.settings.url
    finally:
        stop.set()
        await serving


@asynccontextmanager
async def parts_running(*parts: Part) -> AsyncIterator[None]:
    """Run relays, consumers and the like while the block runs, then let them drain."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(part.run(stop)) for part in parts]
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(_STOP_SECONDS):
            await asyncio.gather(*tasks)


async def until(condition: Callable[[], Awaitable[object] | bool], *, seconds: float = 60.0) -> None:
    """Return once the condition gives something true. Raises `TimeoutError` when it does not in time."""
    async with asyncio.timeout(seconds):
        while not await _found(condition()):  # noqa: ASYNC110 -- stores, where what is waited for lies, have no events
            await asyncio.sleep(_POLL_SECONDS)


async def _found(answer: Awaitable[object] | bool) -> object:  # noqa: FBT001 -- what a condition answered, not an option
    return answer if isinstance(answer, bool) else await answer
