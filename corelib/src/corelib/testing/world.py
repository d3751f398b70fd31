"""One schedule of a simulation: the servers, the nodes, and who asks them for something."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from corelib.errors import Conflict, Duplicate, Unavailable
from corelib.memory.cluster import Cluster
from corelib.memory.database import Database
from corelib.memory.transaction import MemoryTransaction
from corelib.once import run_once
from corelib.testing.chaos import Chaos
from corelib.testing.ledger import Ledger
from corelib.testing.node import Node
from corelib.testing.virtual_loop import VirtualLoop
from corelib.testing.weather import SimulatedClock, Weather
from corelib.transaction import Mark

if TYPE_CHECKING:
    from corelib.testing.scenario import Scenario

_LOOK_SECONDS = 0.25
_AGAIN_SECONDS = 0.2


class World:
    """What a scenario sees. `random` is the schedule's: whoever draws elsewhere cannot be repeated."""

    def __init__(self, scenario: "Scenario", loop: VirtualLoop) -> None:
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

    async def run(self) -> None:
        """Let the scenario drive its nodes through bad weather, then wait in good weather until all is done."""
        for place in range(self.scenario.replicas):
            self.nodes.append(Node(self, place, 1))
        chaos = Chaos(self)
        chaos.start()
        async with asyncio.timeout(self.scenario.seconds):
            await self.scenario.drive(self)
            await chaos.end()
            while not (self.ledger.settled() and self.scenario.settled(self)):
                self.replace_failed()
                await asyncio.sleep(_LOOK_SECONDS)
        for node in self.nodes:
            node.kill()

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

    def replace(self, node: Node) -> None:
        """Start another process where one was killed."""
        self.nodes[node.place] = Node(self, node.place, node.life + 1)

    def replace_failed(self) -> None:
        """Do what an orchestrator does with a process whose liveness is red."""
        for node in self.nodes:
            if node.supervisor is not None and node.supervisor.failed:
                node.kill()
                self.replace(node)
