"""A store and a broker of any kind, what runs between them, and the events that go through."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any

from corelib.actor import Actor
from corelib.broker import LogBroker, Subscription
from corelib.clock import SystemClock
from corelib.consumer.consumer import Consumer
from corelib.documents import Table
from corelib.ids import uuid7
from corelib.message import Channel, Envelope, Event, Record, Transport
from corelib.part import Part
from corelib.postgres.store import Postgres
from corelib.relay.log_relay import LogRelay
from corelib.relay.relay import Relay
from corelib.store import LogStore
from corelib.testing.running import parts_running
from corelib.timers import Timers

TOPIC = Channel("counted", partitions=2)
QUEUE = Channel("counted.fifo", Transport.SQS)
SEEN = Table("seen", key="name")
CREATE = "CREATE TABLE IF NOT EXISTS seen (n bigint GENERATED ALWAYS AS IDENTITY, name text, number int)"


class Counted(Event, type="test.counted.v1", channels=(TOPIC, QUEUE), key="name"):
    name: str
    number: int
    padding: str = ""


class Charged(Event, type="test.charged.v1", channels=(TOPIC, QUEUE), key="name"):
    name: str
    number: int


def record(name: str, number: int = 0) -> Record:
    """Return an event as a relay would have sent it."""
    envelope = Envelope(uuid7(), Counted.type, "test", SystemClock().now(), name)
    return envelope.record(TOPIC.name, Counted(name=name, number=number).model_dump_json().encode())


async def write(tx: Any, name: str, number: int) -> None:
    """Write a number down, as each store has it."""
    if hasattr(tx, "execute"):
        await tx.execute("INSERT INTO seen (name, number) VALUES ($1, $2)", name, number)
        return
    page = await tx.get(SEEN, {"name": name})
    tx.put(SEEN, {"name": name, "numbers": [*page["numbers"], number] if page else [number]})


@dataclass
class Stand:
    """A store and a broker, and what runs between them."""

    store: Any
    broker: Any
    channel: Channel

    def relay(self, seen_as: Callable[[Any], Any] = lambda outbox: outbox) -> Part:
        channels, wake, parking = frozenset({self.channel.name}), self.store.committed(), self.store.parking
        if isinstance(self.store, LogStore) and isinstance(self.broker, LogBroker):
            log = seen_as(self.store.log("relay", channels))
            return LogRelay(log, self.broker.log("outbox"), wake, parking)
        outbox = seen_as(self.store.outbox("relay", channels))
        return Relay("relay", outbox, self.broker, wake, parking)

    def consumer(self, actor: Actor, taken_as: Callable[[Any], Any] = lambda subscription: subscription) -> Part:
        def subscribe() -> Subscription:
            subscription: Subscription = taken_as(self.broker.subscribe("test", [self.channel]))
            return subscription

        routes = [replace(route, attempts=2) for route in actor.routes()]
        return Consumer(subscribe, routes, self.store)

    def running(self, actor: Actor) -> AbstractAsyncContextManager[None]:
        return parts_running(self.relay(), self.consumer(actor), Timers(self.store))

    async def publish(self, *events: Event) -> None:
        for event in events:
            async with self.store.transaction() as tx:
                tx.publish(event)

    async def seen(self, name: str) -> list[int]:
        if isinstance(self.store, Postgres):
            rows = await self.store.fetch("SELECT number FROM seen WHERE name = $1 ORDER BY n", name)
            return [row["number"] for row in rows]
        page = await self.store.get(SEEN, {"name": name})
        return page["numbers"] if page else []

    def saw(self, name: str, *numbers: int) -> Callable[[], Awaitable[bool]]:
        async def condition() -> bool:
            return await self.seen(name) == list(numbers)

        return condition
