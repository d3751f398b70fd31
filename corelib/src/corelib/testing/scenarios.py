"""The scenario that corelib tries itself with: each kind of handler, timers set and cancelled, and poison."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, cast
from uuid import UUID

from corelib.actor import Actor, Effect, Route, effect, receive
from corelib.clock import Clock
from corelib.consumer.resume import resume
from corelib.documents import Table
from corelib.errors import Conflict, Unavailable
from corelib.memory.transaction import MemoryTransaction
from corelib.message import Channel, Event
from corelib.parking import RELAY
from corelib.testing.ledger import PromiseBroken
from corelib.testing.scenario import Scenario
from corelib.testing.world import Node, World
from corelib.transaction import Timer

NOTES = Channel("notes", partitions=3)
ECHOES = Channel("echoes", partitions=2)
PAGES = Table("pages", key="name")
_POISONED, _POISON = "poisoned", 1
_NAMES = ("red", "blue", _POISONED)
_PAUSES = (0.0, 0.0, 0.05, 0.5, 2.0)
_LOOKS = (0.1, 1.0)  # seconds between those of the operator
_GLASSES = {"name": "glasses"}
# Between the payloads of the poisoned book and those of the others, which are shorter.
_NARROW_BYTES, _WIDE_BYTES = 30, 1_000_000


class Noted(Event, type="sim.noted.v1", channels=(NOTES,), key="name"):
    """A number was written into a book."""

    name: str
    number: int


class Echoed(Event, type="sim.echoed.v1", channels=(ECHOES,), key="name"):
    """The number was read."""

    name: str
    number: int


class Reminded(Event, type="sim.reminded.v1", channels=(ECHOES,), key="name"):
    """A timer went off."""

    name: str
    number: int


class Stamped(Event, type="sim.stamped.v1", channels=(ECHOES,), key="name"):
    """The outside world stamped it."""

    name: str
    stamp: str


async def append(tx: MemoryTransaction, name: str, value: object) -> list[object]:
    """Write a value at the end of a page; return the page."""
    page = await tx.get(PAGES, {"name": name})
    lines: list[object] = [*page["lines"], value] if page else [value]
    tx.put(PAGES, {"name": name, "lines": lines})
    return lines


@dataclass(frozen=True)
class Reader(Actor):
    """Reads notes: every second one sets a timer, which the next one cancels or lets be."""

    clock: Clock
    stamps: Counter[str] = field(default_factory=Counter)

    @receive
    async def noted(self, event: Noted, tx: MemoryTransaction) -> None:
        """Write down and pass on."""
        if event.name == _POISONED and event.number == _POISON and not await tx.get(PAGES, _GLASSES):
            raise ValueError("nobody can read this")
        await append(tx, f"seen/{event.name}", event.number)
        tx.publish(Echoed(name=event.name, number=event.number))
        timers = await append(tx, f"timers/{event.name}", None)
        if event.number % 2 == 0:
            at = self.clock.now() + timedelta(seconds=1)
            timer = tx.schedule(Reminded(name=event.name, number=event.number), at=at)
            tx.put(PAGES, {"name": f"timers/{event.name}", "lines": [str(timer.id)]})
        elif isinstance(timers[0], str) and event.number % 4 == 1:
            tx.cancel(Timer(UUID(timers[0])))

    @effect(deadline=timedelta(seconds=5))
    async def stamp(self, event: Noted, call: Effect) -> Stamped:
        """Have it stamped outside."""
        self.stamps[call.idempotency_key] += 1
        return Stamped(name=event.name, stamp=call.idempotency_key)

    @receive
    async def stamped(self, event: Stamped, tx: MemoryTransaction) -> None:
        """Write the stamp down."""
        await append(tx, f"stamps/{event.name}", event.stamp)

    @receive
    async def echoed(self, event: Echoed, tx: MemoryTransaction) -> None:
        """Write the echo down."""
        await append(tx, f"echoes/{event.name}", event.number)

    @receive
    async def reminded(self, event: Reminded, tx: MemoryTransaction) -> None:
        """Write the reminder down."""
        await append(tx, f"reminders/{event.name}", event.number)


class Ledger(Scenario):
    """Numbers are written into books; in the end each book was read once, in order.

    In half of the schedules up to its poison only; in the others the reader gets glasses, and an operator takes up what
    is parked, again and again beside everything else. In some the broker takes no long record for a while.
    """

    publishes: ClassVar[Sequence[type[Event]]] = (Noted, Echoed, Reminded, Stamped)
    tables: ClassVar[Sequence[Table]] = (PAGES,)

    def __init__(self) -> None:
        self.written: dict[str, int] = defaultdict(int)
        self.mended = False
        self.narrowed = False
        self._operator: asyncio.Task[None] | None = None

    def actors(self, node: Node | None = None) -> Sequence[Actor]:
        """Return the one reader."""
        return (Reader(node.clock if node else cast("Clock", None)),)

    async def drive(self, world: World) -> None:
        """Have three writers write numbers into books, some at the same time, some after a while."""
        self.mended = world.random.random() < 1 / 2
        if self.mended:
            self._operator = asyncio.create_task(self._operate(world))
        numbers = iter(range(world.random.randrange(3, 14)))
        await asyncio.gather(*(self._write(world, numbers) for _ in range(3)), self._narrow(world))

    def settled(self, world: World) -> bool:
        """Wait until nothing is parked, where somebody sees to that."""
        if self._operator is None:
            return True
        if self._operator.done():
            self._operator.result()
        if world.database.parked:
            return False
        self._operator.cancel()
        return True

    def sends_once(self) -> bool:
        """Tell so as long as no relay had to park: what it parked is sent by another, at least once."""
        return super().sends_once() and not self.narrowed

    async def take_up(self, node: Node, handler: str, key: str) -> None:
        """Do what `corelib parked retry` does."""
        await resume(node.store, self.routes_of(node), handler, key)

    def routes_of(self, node: Node) -> list[Route]:
        """Return the handlers of a node."""
        return [route for actor in self.actors(node) for route in actor.routes()]

    async def _operate(self, world: World) -> None:
        while not world.database.parked:  # noqa: ASYNC110 -- time is virtual, and nobody tells
            await asyncio.sleep(_LOOKS[0])
        retrying = asyncio.create_task(self._retry(world))
        await asyncio.sleep(world.random.choice(_PAUSES))

        async def put_on(tx: MemoryTransaction) -> None:
            tx.put(PAGES, {**_GLASSES, "on": True})

        await world.request(put_on, key="glasses")
        await retrying

    async def _retry(self, world: World) -> None:
        while True:
            await asyncio.sleep(world.random.uniform(*_LOOKS))
            node = world.random.choice(world.nodes)
            if node.ready:
                task = node.spawn(self._take_all_up(node))
                await asyncio.wait([task])
                error = None if task.cancelled() else task.exception()
                if error is not None and not isinstance(error, (Unavailable, Conflict)):
                    raise error

    async def _take_all_up(self, node: Node) -> None:
        for handler, key in sorted(await node.store.parking.keys()):
            if not handler.startswith(RELAY):
                await self.take_up(node, handler, key)

    async def _narrow(self, world: World) -> None:
        self.narrowed = world.random.random() < 1 / 4
        if self.narrowed:
            await asyncio.sleep(world.random.choice(_PAUSES))
            world.cluster.max_record_bytes = _NARROW_BYTES
            await asyncio.sleep(world.random.choice(_PAUSES))
            world.cluster.max_record_bytes = _WIDE_BYTES

    async def _write(self, world: World, numbers: Iterator[int]) -> None:
        for number in numbers:
            await asyncio.sleep(world.random.choice(_PAUSES))
            name = world.random.choice(_NAMES)

            async def write(tx: MemoryTransaction, name: str = name) -> None:
                page = await tx.get(PAGES, {"name": f"written/{name}"})
                count = page["count"] if page else 0
                tx.put(PAGES, {"name": f"written/{name}", "count": count + 1})
                tx.publish(Noted(name=name, number=count))

            await world.request(write, key=str(number))
            self.written[name] += 1

    def check(self, world: World) -> None:
        """Require that what was read is what was written."""
        pages = {page["name"]: page["lines"] for page in world.database.items("pages") if "lines" in page}
        for name, count in self.written.items():
            readable = range(min(count, _POISON) if name == _POISONED and not self.mended else count)
            require(pages.get(f"seen/{name}", []), list(readable), f"seen/{name}")
            require(pages.get(f"echoes/{name}", []), list(readable), f"echoes/{name}")
            stamps = pages.get(f"stamps/{name}", [])
            require(sorted(set(stamps)), sorted(stamps), f"stamps/{name}, sorted,")
            require([len(stamps)], [count], f"the number of stamps/{name}")


def require(page: list[object], expected: list[object], what: str) -> None:
    """Raise `PromiseBroken` unless a page is as expected."""
    if page != expected:
        raise PromiseBroken(f"{what} is {page} and should be {expected}")


class LedgerAtLeastOnce(Ledger):
    """The same with the relay that may send twice: the inbox makes up for it."""

    exactly_once: ClassVar[bool] = False
