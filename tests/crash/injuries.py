"""What is done to a run: kills, pauses and cuts, drawn from a seed, several at a time, each healed after a while."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import psutil

from crash.stage import Player, PostgresStage, Stage
from devstack.cable import Cable
from devstack.process import tail

Injury = Callable[[str, float], Awaitable[None]]
"""Does something to the one of this name, for so many seconds, and heals it."""


@dataclass
class Schedule:
    """Draws and carries out injuries; `told` is what was done and when, for the report of a failure."""

    stage: Stage
    choice: random.Random
    told: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _injured: set[str] = field(default_factory=set)
    _deck: list[tuple[str, Injury]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Shuffle: each kind of thing dies once before anything else is drawn, however short the run is."""
        sure: list[tuple[str, Injury]] = [
            (self.choice.choice(("relay-1", "relay-2")), self._kill),
            (self.choice.choice(("consumer-1", "consumer-2")), self._kill),
            (self.choice.choice(("writer-1", "writer-2")), self._kill),
            ("kafka", self._server),
            self._of_store()[0],
        ]
        self.choice.shuffle(sure)
        self._deck = sure

    async def run(self, seconds: float) -> None:
        """Injure for so long, then heal everything."""
        async with asyncio.TaskGroup() as group:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                target, injury = self._deck.pop() if self._deck else self._draw()
                if target not in self._injured:
                    group.create_task(self._injure(target, injury, self.choice.uniform(0.0, min(3.0, seconds / 4))))
                self.tend()
                await asyncio.sleep(self.choice.uniform(0.1, 0.8))
        self.tend()

    def tend(self) -> None:
        """Start again, as an orchestrator does, what ended by itself; that it did is told."""
        for name, player in self.stage.players.items():
            if name not in self._injured and player.died:
                self.say(f"{name} ended by itself: {' '.join(tail(player.log, 1))}")
                player.launch()

    def say(self, what: str) -> None:
        """Note what was done."""
        self.told.append(f"{time.monotonic() - self._began:6.2f} {what}")

    def _draw(self) -> tuple[str, Injury]:
        of_players: tuple[tuple[int, Injury], ...] = (
            (6, self._kill),
            (2, self._pause),
            (2, self._cut_store),
            (2, self._cut_kafka),
        )
        every: list[tuple[int, str, Injury]] = [
            (weight, name, injury) for weight, injury in of_players for name in self.stage.players
        ]
        every += [(4, "kafka", self._server)]
        every += [(4, name, injury) for name, injury in self._of_store()]
        return self.choice.choices([(name, injury) for _, name, injury in every], [weight for weight, *_ in every])[0]

    def _of_store(self) -> list[tuple[str, Injury]]:
        """Return what is done to the store itself."""
        if isinstance(self.stage, PostgresStage):
            return [("postgres", self._server), ("postgres", self._backend)]
        return [("store", self._stall_store)]

    async def _injure(self, target: str, injury: Injury, seconds: float) -> None:
        self._injured.add(target)
        self.say(f"{injury.__name__.strip('_')} {target} for {seconds:.1f} s")
        try:
            await injury(target, seconds)
        finally:
            self._injured.discard(target)
            self.say(f"{target} is healed")

    async def _kill(self, name: str, seconds: float) -> None:
        player = self.stage.players[name]
        await player.kill()
        await asyncio.sleep(seconds)
        player.launch()

    async def _pause(self, name: str, seconds: float) -> None:
        async with paused(self.stage.players[name]):
            await asyncio.sleep(4 * seconds)  # in a long run, past a lease and a consumer's session

    async def _cut_store(self, name: str, seconds: float) -> None:
        await self._cut(self.stage.players[name].store, seconds)

    async def _stall_store(self, _: str, seconds: float) -> None:
        """Let a store that cannot be killed, as its data would be gone, answer nobody."""
        cables = [player.store for player in self.stage.players.values()]
        for cable in cables:
            cable.stall()
        await asyncio.sleep(seconds)
        for cable in cables:
            await cable.plug()

    async def _cut_kafka(self, name: str, seconds: float) -> None:
        await self._cut(self.stage.players[name].kafka, seconds)

    async def _cut(self, cable: Cable, seconds: float) -> None:
        if self.choice.random() < 0.5:
            await cable.pull()
        else:
            cable.stall()
        await asyncio.sleep(seconds)
        await cable.plug()

    async def _server(self, name: str, seconds: float) -> None:
        server = self.stage.servers.named(name)
        await server.crash()
        await asyncio.sleep(seconds / 2)
        await server.restart()

    async def _backend(self, _: str, __: float) -> None:
        """Kill one of PostgreSQL's processes: it ends all others and recovers."""
        assert isinstance(self.stage, PostgresStage)
        pids = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        try:
            found = [row["pid"] for row in await self.stage.fetch(pids)]
            psutil.Process(self.choice.choice(found)).kill()
        except (OSError, IndexError, asyncpg.PostgresError, psutil.NoSuchProcess):
            self.say("there was no such process to kill")


@asynccontextmanager
async def paused(player: Player) -> AsyncIterator[None]:
    """Stop a process where it stands; it wakes in the belief that no time has passed."""
    player.send(signal.SIGSTOP)
    try:
        yield
    finally:
        player.send(signal.SIGCONT)
