"""What happens to the nodes of a simulation, drawn from its seed: crashes, pauses, partitions, losses, delays, skew."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from corelib.testing.world import Node, World

FAULTS = (
    "crash", "crash_soon", "crash_in_ambush", "freeze", "freeze_soon", "freeze_in_ambush", "cut", "lose", "delay",
    "stop", "skew",
)  # fmt: skip
"""Everything that can happen: each is a method of `Chaos`."""
_SERVERS = ("store", "broker")
# Longer than a lease and a consumer's session, so that a paused node wakes as a zombie; or much shorter.
_PAUSES = (0.3, 0.3, 3.0, 12.0)
_DOWN = (0.0, 0.5, 3.0)
_MOST_STEPS = 300
_MOST_KINDS = 5


class Chaos:
    """Strikes at random moments, and between any two steps of the loop. `end` mends everything."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random
        self._task: asyncio.Task[None] | None = None
        self._over = False

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._strike())

    async def end(self) -> None:
        """Wait for the last fault, then bring back what is down and let nothing more go wrong."""
        if self._task is not None:
            await self._task
        self._over = True
        self._world.weather.calm()
        for node in list(self._world.nodes):
            if node.stop.is_set():
                node.kill()
            if not node.alive:
                self._world.replace(node)
            elif node.frozen:
                self._world.loop.thaw(node)

    async def _strike(self) -> None:
        world, random = self._world, self._random
        names = world.scenario.only or FAULTS
        # Of all faults at once each hides the others' finds; a few a schedule find more (swarm testing, Groce et al.).
        names = random.sample(names, random.randint(1, min(_MOST_KINDS, len(names))))
        for _ in range(random.randrange(world.scenario.faults + 1)):
            await asyncio.sleep(random.expovariate(1 / world.scenario.calm_seconds))
            node = random.choice(world.nodes)
            name = random.choice(names)
            world.weather.note(node.name, name, "")
            strike: Callable[[Node], None] = getattr(self, f"_{name}")
            strike(node)
            world.replace_failed()

    def _crash(self, node: Node) -> None:
        if node.alive and not self._over:
            node.kill()
            self._later(self._random.choice(_DOWN), lambda: self._bring_back(node))

    def _crash_soon(self, node: Node) -> None:
        self._world.loop.after_steps(self._random.randrange(1, _MOST_STEPS), lambda: self._crash(node))

    def _freeze(self, node: Node, seconds: float | None = None) -> None:
        if node.alive and not node.frozen and not self._over:
            node.frozen = True
            self._later(seconds or self._random.choice(_PAUSES), lambda: self._thaw(node))

    def _freeze_soon(self, node: Node) -> None:
        self._world.loop.after_steps(self._random.randrange(1, _MOST_STEPS), lambda: self._freeze(node))

    def _crash_in_ambush(self, _: Node) -> None:
        self._world.weather.ambush(self._crash)

    def _freeze_in_ambush(self, _: Node) -> None:
        self._world.weather.ambush(lambda node: self._freeze(node, _PAUSES[-1]))

    def _cut(self, node: Node) -> None:
        cut, way = self._world.weather.cut, (node.name, self._random.choice(_SERVERS))
        cut.add(way)
        self._later(self._random.uniform(0.1, 6.0), lambda: cut.discard(way))

    def _lose(self, _: Node) -> None:
        self._world.weather.lost = self._random.choice((0.05, 0.3))
        self._later(self._random.uniform(0.1, 2.0), lambda: setattr(self._world.weather, "lost", 0.0))

    def _delay(self, _: Node) -> None:
        self._world.weather.slow = self._random.choice((0.1, 0.5))
        self._later(self._random.uniform(0.1, 2.0), lambda: setattr(self._world.weather, "slow", 0.0))

    def _stop(self, node: Node) -> None:
        """Stop in good order, as a rolling update does; another takes its place."""
        if node.alive and not node.stop.is_set():
            node.stop.set()
            self._later(self._random.choice(_DOWN), lambda: self._crash(node))

    def _skew(self, node: Node) -> None:
        seconds = self._random.uniform(-1, 1) * self._world.scenario.skew_seconds
        node.clock.skew = timedelta(seconds=seconds)

    def _bring_back(self, node: Node) -> None:
        if not self._over and self._world.nodes[node.place] is node:
            self._world.replace(node)

    def _thaw(self, node: Node) -> None:
        if node.frozen:
            self._world.loop.thaw(node)

    def _later(self, seconds: float, then: Callable[[], None]) -> None:
        # Outside of any node: an ambush strikes from within one, which may be frozen by then.
        self._world.loop.call_later(seconds, then, context=self._world.weather.outside.copy())
