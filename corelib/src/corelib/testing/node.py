"""One process of a simulated service: the real relay, consumer and timers on a store and broker in memory."""

import asyncio
import contextvars
from collections.abc import Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from corelib.errors import Unavailable
from corelib.supervisor import Supervisor
from corelib.testing.virtual_loop import FRAME
from corelib.testing.weather import SimulatedClock, Wire
from corelib.transaction import Origin

if TYPE_CHECKING:
    from corelib.testing.world import World

T = TypeVar("T")
_OPEN_AGAIN_SECONDS = 0.1


class Node:
    """Lives once: after a crash another takes its place. Killed, it loses its memory; frozen, it does nothing."""

    def __init__(self, world: "World", place: int, life: int) -> None:
        self.name = f"node-{place}.{life}"
        self.place = place
        self.life = life
        self.alive = True
        self.frozen = False
        self.held: list[Any] = []
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.clock = SimulatedClock(timedelta(seconds=world.random.uniform(-1, 1) * world.scenario.skew_seconds))
        self.stop = asyncio.Event()
        self.supervisor: Supervisor | None = None
        self._world = world
        scenario = world.scenario
        self.store = scenario.store(world.database, Wire(world.weather, self, "store"))
        self.broker = scenario.broker(world.cluster, Wire(world.weather, self, "broker"), self.name)
        self.spawn(self._live())

    @property
    def ready(self) -> bool:
        """Whether it takes requests."""
        return self.alive and not self.frozen and self.supervisor is not None and not self.stop.is_set()

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run something in this process: it dies with it."""
        context = contextvars.copy_context()
        context.run(FRAME.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)

    async def _live(self) -> None:
        """Run every part until told to stop."""
        origin = Origin("simulation", self.clock, frozenset(self._world.scenario.publishes))
        while True:
            try:
                await self.store.open(origin)
                break
            except Unavailable:
                await asyncio.sleep(_OPEN_AGAIN_SECONDS)
        self.supervisor = Supervisor(self._world.scenario.parts(self))
        await self.supervisor.run(self.stop)

    def kill(self) -> None:
        """Take it away at once, whatever it was doing (SIGKILL): what it sends from now on does not arrive."""
        self.alive = False
        if self.frozen:
            self._world.loop.thaw(self)
        for task in list(self.tasks):
            task.cancel()
