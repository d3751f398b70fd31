"""Events that are counted, and records of them in a parking lot."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from corelib.actor import Actor, receive
from corelib.clock import SystemClock
from corelib.ids import uuid7
from corelib.message import Channel, Envelope, Event, Record
from corelib.store import Failure, Store
from corelib.transaction import Transaction

CHANNEL = Channel("counted")
BROKEN = Failure("ValueError: broken", "Traceback ...")
Open = Callable[[], Awaitable[Store]]


class Counted(Event, type="test.counted.v1", channels=(CHANNEL,), key="name"):
    name: str
    number: int


@dataclass(frozen=True)
class Counter(Actor):
    seen: list[int] = field(default_factory=list)
    failing: set[int] = field(default_factory=set)

    @receive
    async def counted(self, event: Counted, _: Transaction) -> None:
        if event.number in self.failing:
            raise ValueError(f"cannot count {event.number}")
        self.seen.append(event.number)


def record(number: int, key: str = "k", *, age: timedelta = timedelta(0)) -> Record:
    envelope = Envelope(uuid7(), Counted.type, "test", SystemClock().now() - age, key)
    return envelope.record(CHANNEL.name, Counted(name=key, number=number).model_dump_json().encode())


def numbers(records: list[Record]) -> list[int]:
    return [Counted.model_validate_json(each.payload).number for each in records]


async def queued(store: Store, key: str = "k", handler: str = "Counter.counted") -> list[int]:
    return numbers([parked.record for parked in await store.parking.list(handler, key)])


async def parked(store: Store, *records: Record, handler: str = "Counter.counted") -> None:
    for each in records:
        await store.parking.park(handler, each, BROKEN, attempts=3)
