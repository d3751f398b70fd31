"""One schedule of a simulation: the servers, the nodes, and who asks them for something."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar, cast

from corelib.errors import Conflict, Duplicate, Unavailable
from corelib.memory.cluster import Cluster
from corelib.memory.database import Database
from corelib.memory.transaction import MemoryTransaction
from corelib.once import run_once
from corelib.supervisor import Supervisor
from corelib.testing.ledger import Ledger
from corelib.testing.scenario import Scenario
from corelib.testing.virtual_loop import FRAME, VirtualLoop
from corelib.testing.weather import SimulatedClock, Weather, Wire
from corelib.transaction import Mark, Origin

T = TypeVar("T")
_OPEN_AGAIN_SECONDS = 0.1
_AGAIN_SECONDS = 0.2


class World:
    """What a scenario sees. `random` is the schedule's: whoever draws elsewhere cannot be repeated."""

    def __init__(self, scenario: Scenario, loop: VirtualLoop) -> None:
        self.scenario = scenario
        self.loop = loop
        self.random = loop.random
        self.weather = Weather(loop.random)
        self.clock = SimulatedClock()
        self.database = Database(clock=self.clock, name="simulated")
        self.cluster = Cluster(clock=self.clock)
        self.cluster.provision(scenario.channels())
        self.ledger = Ledger(self.database, scenario.routes())
        self.nodes: list[Node] = []

    async def request(self, work: Callable[[MemoryTransaction], Awaitable[Any]], *, key: str) -> None:
        """Ask some node to do work in a transaction, as a caller with an Idempotency-Key: again until it is done."""
        while True:
            node = self.random.choice(self.nodes)
            if node.ready:
                task = node.spawn(run_once(node.store, cast("Any", work), mark=Mark("request", key)))
                await asyncio.wait([task])
                if task.cancelled():  # its node was killed
                    continue
                error = task.exception()
                if error is None or isinstance(error, Duplicate):
                    return
                if not isinstance(error, (Unavailable, Conflict)):
                    raise error
            await asyncio.sleep(self.random.uniform(0.0, _AGAIN_SECONDS))

    def replace(self, node: "Node") -> None:
        """Start another process where one was killed."""
        self.nodes[node.place] = Node(self, node.place, node.life + 1)

    def replace_failed(self) -> None:
        """Do what an orchestrator does with a process whose liveness is red."""
        for node in self.nodes:
            if node.supervisor is not None and node.supervisor.failed:
                node.kill()
                self.replace(node)


class Node:
    """One process of a simulated service: the real relay, consumer and timers on a store and broker in memory.

    It lives once: after a crash another takes its place. Killed, it loses its memory; frozen, it does nothing.
    """

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
