"""The scenario that corelib tries itself with: each kind of handler, timers set and cancelled, and poison."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, cast
from uuid import UUID

from corelib.actor import Actor, Effect, effect, receive
from corelib.clock import Clock
from corelib.dynamo.tables import Table
from corelib.memory.transaction import MemoryTransaction
from corelib.message import Channel, Event
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
        if event.name == _POISONED and event.number == _POISON:
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
    """Numbers are written into books; in the end each book was read once, in order, up to its poison."""

    publishes: ClassVar[Sequence[type[Event]]] = (Noted, Echoed, Reminded, Stamped)
    tables: ClassVar[Sequence[Table]] = (PAGES,)

    def __init__(self) -> None:
        self.written: dict[str, int] = defaultdict(int)

    def actors(self, node: Node | None = None) -> Sequence[Actor]:
        """Return the one reader."""
        return (Reader(node.clock if node else cast("Clock", None)),)

    async def drive(self, world: World) -> None:
        """Have three writers write numbers into books, some at the same time, some after a while."""
        numbers = iter(range(world.random.randrange(3, 14)))
        await asyncio.gather(*(self._write(world, numbers) for _ in range(3)))

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
            readable = range(min(count, _POISON) if name == _POISONED else count)
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
