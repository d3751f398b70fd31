"""One contract for every store with every broker: atomic, nothing lost, once, in order, poison contained."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from corelib.actor import Actor, Effect, effect, receive
from corelib.aws import Aws
from corelib.broker import Broker, LogBroker
from corelib.clock import SystemClock
from corelib.consumer import Consumer
from corelib.dynamo.store import Dynamo
from corelib.dynamo.tables import Table
from corelib.errors import TooLarge
from corelib.history import Selection
from corelib.kafka.broker import Kafka
from corelib.log_relay import LogRelay
from corelib.memory.broker import MemoryBroker
from corelib.memory.queues import MemoryQueues
from corelib.memory.store import Memory
from corelib.message import Channel, Event, Record, Transport
from corelib.operation import Operation
from corelib.parking import MALFORMED, resume
from corelib.part import Part
from corelib.postgres.store import Postgres
from corelib.relay import Relay
from corelib.replay import KIND, Plan, Replay, Source
from corelib.sqs.broker import Sqs
from corelib.store import LogStore, Store
from corelib.testing.running import parts_running, until
from corelib.timers import Timers
from corelib.transaction import Origin, Transaction

TOPIC = Channel("counted", partitions=2)
QUEUE = Channel("counted.fifo", Transport.SQS)
SEEN = Table("seen", key="name")
_CREATE = "CREATE TABLE IF NOT EXISTS seen (n bigint GENERATED ALWAYS AS IDENTITY, name text, number int)"


class Counted(Event, type="test.counted.v1", channels=(TOPIC, QUEUE), key="name"):
    name: str
    number: int
    padding: str = ""


class Charged(Event, type="test.charged.v1", channels=(TOPIC, QUEUE), key="name"):
    name: str
    receipt: str


async def write(tx: Any, name: str, number: int) -> None:
    """Write a number down, as each store has it."""
    if hasattr(tx, "execute"):
        await tx.execute("INSERT INTO seen (name, number) VALUES ($1, $2)", name, number)
        return
    page = await tx.get(SEEN, {"name": name})
    tx.put(SEEN, {"name": name, "numbers": [*page["numbers"], number] if page else [number]})


@dataclass(frozen=True)
class Counter(Actor):
    failing: set[int] = field(default_factory=set)
    called: list[int] = field(default_factory=list)

    @receive
    async def counted(self, event: Counted, tx: Transaction) -> None:
        self.called.append(event.number)
        await write(tx, event.name, event.number)
        if event.number in self.failing:
            raise ValueError(f"cannot count {event.number}")


@dataclass(frozen=True)
class Till(Actor):
    calls: list[str] = field(default_factory=list)

    @effect()
    async def charge(self, event: Counted, call: Effect) -> Charged:
        self.calls.append(call.idempotency_key)
        if len(self.calls) == 1:
            raise ConnectionError("the provider hung up")
        return Charged(name=event.name, receipt=call.idempotency_key)

    @receive
    async def charged(self, event: Charged, tx: Transaction) -> None:
        await write(tx, event.receipt, 1)


class Killed:
    """The outbox of a relay that dies once its broker took something, before that is marked."""

    def __init__(self, outbox: Any) -> None:
        self._outbox = outbox

    def __getattr__(self, name: str) -> Any:
        return getattr(self._outbox, name)

    async def acknowledge(self, _: object) -> None:
        raise asyncio.CancelledError

    commit = passed = acknowledge


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

    def running(self, actor: Actor) -> AbstractAsyncContextManager[None]:
        routes = [replace(route, attempts=2) for route in actor.routes()]
        consumer = Consumer(lambda: self.broker.subscribe("test", [self.channel]), routes, self.store)
        return parts_running(self.relay(), consumer, Timers(self.store))

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


@pytest_asyncio.fixture(params=["postgres", "dynamodb", "memory"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    name = f"t{uuid4().hex[:10]}"
    store: Store
    if request.param == "postgres":
        store = Postgres(request.getfixturevalue("postgres_dsn"), schema=name, migrations=(_CREATE,))
    elif request.param == "dynamodb":
        aws = Aws(endpoint_url=request.getfixturevalue("aws_endpoint"), prefix=f"{name}-")
        store = Dynamo("shop", aws, tables=(SEEN,))
    else:
        store = Memory(tables=(SEEN,))
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset({Counted, Charged})))
    yield store
    await store.close()


@pytest_asyncio.fixture(params=["kafka", "sqs", "memory", "memory-queue"])
async def stand(request: pytest.FixtureRequest, store: Store) -> AsyncIterator[Stand]:
    name = f"t{uuid4().hex[:10]}-"
    broker: Broker
    if request.param == "kafka":
        broker = Kafka(request.getfixturevalue("kafka_bootstrap"), prefix=name)
    elif request.param == "sqs":
        broker = Sqs(Aws(endpoint_url=request.getfixturevalue("aws_endpoint"), prefix=name))
    else:
        broker = MemoryBroker() if request.param == "memory" else MemoryQueues()
    channel = QUEUE if broker.name == Transport.SQS else TOPIC
    await broker.provision([channel])
    await broker.open()
    yield Stand(store, broker, channel)
    await broker.close()


async def test_every_event_has_its_effect_once_in_order_of_its_key(stand: Stand) -> None:
    await stand.publish(*(Counted(name=f"key-{n % 3}", number=n) for n in range(15)))
    async with stand.running(Counter()):
        await stand.publish(*(Counted(name=f"key-{n % 3}", number=n) for n in range(15, 30)))
        for key in range(3):
            await until(stand.saw(f"key-{key}", *range(key, 30, 3)))


async def test_what_is_rolled_back_is_neither_kept_nor_sent(stand: Stand) -> None:
    async def fail() -> None:
        async with stand.store.transaction() as tx:
            await write(tx, "ghost", 1)
            tx.publish(Counted(name="ghost", number=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with stand.running(Counter()):
        await stand.publish(Counted(name="real", number=1))
        await until(stand.saw("real", 1))
    assert await stand.seen("ghost") == []


async def test_a_replay_reaches_the_handler_and_changes_nothing(stand: Stand) -> None:
    actor = Counter()
    selection = Selection(channels=frozenset({stand.channel.name}))
    plan = Plan(source=Source.OUTBOX, transport=stand.channel.transport, selection=selection)
    work = Replay(plan, stand.store.history("relay"), stand.broker, stand.store.operations, SystemClock())
    async with stand.running(actor):
        await stand.publish(*(Counted(name="k", number=n) for n in range(3)))
        await until(stand.saw("k", 0, 1, 2))

        async def all_sent() -> bool:
            return (await work.count()).records == 3

        await until(all_sent)
        before = len(actor.called)
        await work.run(Operation(KIND, "ann", "a test", {}, datetime.now(UTC)))

        async def called_again() -> bool:
            return {*actor.called[before:]} == {0, 1, 2}

        await until(called_again)
        await stand.publish(Counted(name="k", number=3))
        await until(stand.saw("k", 0, 1, 2, 3))


async def test_poison_parks_its_key_while_others_flow_and_is_taken_up_again(stand: Stand) -> None:
    actor = Counter(failing={1})
    async with stand.running(actor):
        await stand.publish(*(Counted(name=name, number=n) for n, name in ((0, "bad"), (1, "bad"), (2, "bad"))))
        await stand.publish(Counted(name="good", number=7))
        await until(stand.saw("good", 7))

        async def parked() -> bool:
            return len(await stand.store.parking.list("Counter.counted", "bad")) == 2

        await until(parked)
        first, behind = await stand.store.parking.list("Counter.counted", "bad")
        assert (first.reason, first.attempts) == ("ValueError: cannot count 1", 2)
        assert behind.attempts == 0
        assert await stand.seen("bad") == [0]
        actor.failing.clear()
        resumed = await resume(stand.store, list(actor.routes()), "Counter.counted", "bad")
        assert resumed.handled == 2
        await stand.publish(Counted(name="bad", number=3))
        await until(stand.saw("bad", 0, 1, 2, 3))


async def test_a_timer_fires_once_and_not_before_its_time(stand: Stand) -> None:
    async with stand.running(Counter()):
        async with stand.store.transaction() as tx:
            tx.schedule(Counted(name="late", number=1), at=datetime.now(UTC) + timedelta(milliseconds=300))
            gone = tx.schedule(Counted(name="never", number=1), at=datetime.now(UTC))
            tx.cancel(gone)
        assert await stand.seen("late") == []
        await until(stand.saw("late", 1))
        await stand.publish(Counted(name="late", number=2), Counted(name="never", number=2))
        await until(stand.saw("late", 1, 2))
        await until(stand.saw("never", 2))


async def test_an_event_too_large_is_refused_when_it_is_published_and_one_that_just_fits_arrives(stand: Stand) -> None:
    with pytest.raises(TooLarge, match="takes 262144"):
        await stand.publish(Counted(name="k", number=1, padding="x" * 262_144))
    async with stand.running(Counter()):
        await stand.publish(Counted(name="k", number=2, padding="x" * 261_000))
        await until(stand.saw("k", 2))


async def test_a_relay_killed_before_it_marks_what_it_sent_loses_and_doubles_nothing(stand: Stand) -> None:
    await stand.publish(*(Counted(name="k", number=n) for n in range(20)))
    with pytest.raises(asyncio.CancelledError):
        await stand.relay(Killed).run(asyncio.Event())
    async with stand.running(Counter()):
        await stand.publish(Counted(name="k", number=20))
        await until(stand.saw("k", *range(21)))


async def test_an_effect_is_repeated_with_the_same_key_and_its_outcome_is_handled_once(stand: Stand) -> None:
    actor = Till()

    async def handled() -> bool:
        return bool(actor.calls) and await stand.seen(actor.calls[0]) == [1]

    async with stand.running(actor):
        await stand.publish(Counted(name="k", number=1))
        await until(handled)
    assert len(actor.calls) == 2
    assert len(set(actor.calls)) == 1


async def test_what_is_no_event_is_parked_and_the_rest_flow(stand: Stand) -> None:
    async def parked() -> bool:
        return [each.record.payload for each in await stand.store.parking.list(MALFORMED)] == [b"nonsense"]

    await stand.broker.send([Record(stand.channel.name, "k", (("ce_id", "none"),), b"nonsense")])
    async with stand.running(Counter()):
        await stand.publish(Counted(name="k", number=1))
        await until(stand.saw("k", 1))
        await until(parked)
