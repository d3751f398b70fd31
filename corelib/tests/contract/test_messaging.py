"""Outbox, relay, broker, consumer and inbox together, on real PostgreSQL and real Kafka."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from uuid import uuid4

import pytest
import pytest_asyncio

from corelib.actor import Actor, Effect, Route, effect, receive
from corelib.clock import SystemClock
from corelib.consumer import Consumer
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Envelope, Event, Record
from corelib.parking import Resumed, resume
from corelib.part import Part
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.relay import Relay
from corelib.testing.running import until
from corelib.transaction import Origin

CHANNEL = Channel(f"counted-{uuid4().hex[:8]}", partitions=2)


class Counted(Event, type="test.counted.v1", channels=(CHANNEL,), key="name"):
    name: str
    number: int


class Charged(Event, type="test.charged.v1", channels=(CHANNEL,), key="name"):
    name: str
    receipt: str


PUBLISHED: tuple[type[Event], ...] = (Counted, Charged)
TABLE = "CREATE TABLE IF NOT EXISTS seen (n bigint GENERATED ALWAYS AS IDENTITY, name text, number int)"


@dataclass(frozen=True)
class Counter(Actor):
    failing: set[str] = field(default_factory=set)
    attempts: list[int] = field(default_factory=list)

    @receive
    async def counted(self, event: Counted, tx: PostgresTransaction) -> None:
        await tx.execute("INSERT INTO seen (name, number) VALUES ($1, $2)", event.name, event.number)
        if event.name in self.failing:
            self.attempts.append(event.number)
            raise ValueError(f"cannot count {event.name}")


@asynccontextmanager
async def running(*parts: Part) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(part.run(stop)) for part in parts]
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 30)


@pytest_asyncio.fixture
async def store(postgres_dsn: str) -> AsyncIterator[Postgres]:
    store = Postgres(postgres_dsn, schema=f"t{uuid4().hex[:12]}", migrations=(TABLE,))
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset(PUBLISHED)))
    yield store
    await store.close()


@pytest_asyncio.fixture
async def kafka(kafka_bootstrap: str) -> AsyncIterator[Kafka]:
    kafka = Kafka(kafka_bootstrap, prefix=f"t{uuid4().hex[:8]}-")
    await kafka.provision([CHANNEL])
    await kafka.open()
    yield kafka
    await kafka.close()


def relay(store: Postgres, kafka: Kafka) -> Relay:
    return Relay("kafka", store.outbox("kafka", frozenset({CHANNEL.name})), kafka, store.committed(), store.parking)


def consumer(store: Postgres, kafka: Kafka, actor: Actor) -> Consumer:
    return Consumer(lambda: kafka.subscribe("test", [CHANNEL]), list(actor.routes()), store)


async def publish(store: Postgres, *events: Event) -> None:
    for event in events:
        async with store.transaction() as tx:
            tx.publish(event)


async def seen(store: Postgres, name: str) -> list[int]:
    return [row["number"] for row in await store.pool.fetch("SELECT number FROM seen WHERE name = $1 ORDER BY n", name)]


async def test_every_event_has_its_effect_once_and_in_order_of_its_key(store: Postgres, kafka: Kafka) -> None:
    events = [Counted(name=f"key-{n % 7}", number=n) for n in range(300)]
    async with running(relay(store, kafka), consumer(store, kafka, Counter())):
        await publish(store, *events)

        async def all_there() -> bool:
            return bool(await store.pool.fetchval("SELECT count(*) = 300 FROM seen"))

        await until(all_there)
    for key in range(7):
        assert await seen(store, f"key-{key}") == [n for n in range(300) if n % 7 == key]


async def test_an_event_of_a_rolled_back_transaction_is_never_sent(store: Postgres, kafka: Kafka) -> None:
    with pytest.raises(RuntimeError):
        await _publish_and_fail(store)
    await publish(store, Counted(name="real", number=1))
    async with running(relay(store, kafka), consumer(store, kafka, Counter())):

        async def real_there() -> bool:
            return await seen(store, "real") == [1]

        await until(real_there)
    assert await seen(store, "ghost") == []


class _DiesBeforeAcknowledging:
    """A reader whose relay is killed between send and mark."""

    def __init__(self, kafka: Kafka) -> None:
        self.kafka = kafka
        self.name = "kafka"
        self.sent = 0

    async def send(self, records: Sequence[Record]) -> Sequence[bool]:
        await self.kafka.send(records)
        self.sent += len(records)
        raise asyncio.CancelledError


async def test_a_relay_killed_between_send_and_mark_loses_and_doubles_nothing(store: Postgres, kafka: Kafka) -> None:
    await publish(store, *(Counted(name="k", number=n) for n in range(20)))
    dying = _DiesBeforeAcknowledging(kafka)
    first = Relay("kafka", store.outbox("kafka", frozenset({CHANNEL.name})), dying, store.committed(), store.parking)  # type: ignore[arg-type]
    with pytest.raises(asyncio.CancelledError):
        await first.run(asyncio.Event())
    assert dying.sent == 20
    async with running(relay(store, kafka), consumer(store, kafka, Counter())):
        await publish(store, Counted(name="k", number=20))

        async def last_there() -> bool:
            return 20 in await seen(store, "k")

        await until(last_there)
    assert await seen(store, "k") == list(range(21))


async def test_poison_parks_its_key_while_others_flow(store: Postgres, kafka: Kafka) -> None:
    actor = Counter(failing={"bad"})
    eager = [_with_attempts(route, 2) for route in actor.routes()]
    work = Consumer(lambda: kafka.subscribe("test", [CHANNEL]), eager, store)
    async with running(relay(store, kafka), work):
        await publish(store, *(Counted(name=name, number=n) for n in range(3) for name in ("bad", "good")))

        async def settled() -> bool:
            return len(await store.parking.list()) == 3 and await seen(store, "good") == [0, 1, 2]

        await until(settled)
        assert set(actor.attempts) == {0}  # together with what waited, then alone; nothing behind it is tried alone
        parked = await store.parking.list("Counter.counted")
        assert "cannot count bad" in parked[0].reason
        assert parked[0].attempts == 2
        assert await seen(store, "bad") == []

        actor.failing.clear()
        assert await resume(store, eager, "Counter.counted", "bad") == Resumed(3)
        assert await seen(store, "bad") == [0, 1, 2]
        assert not await store.parking.list()
        await publish(store, Counted(name="bad", number=3))

        async def flows_again() -> bool:
            return await seen(store, "bad") == [0, 1, 2, 3]

        await until(flows_again)


async def test_a_record_that_is_no_event_is_parked_and_the_rest_flow(store: Postgres, kafka: Kafka) -> None:
    await kafka.send([Record(CHANNEL.name, "k", (), b"\x00nonsense")])
    async with running(relay(store, kafka), consumer(store, kafka, Counter())):
        await publish(store, Counted(name="k", number=1))

        async def there() -> bool:
            return await seen(store, "k") == [1] and len(await store.parking.list("(malformed)")) == 1

        await until(there)


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
    async def charged(self, event: Charged, tx: PostgresTransaction) -> None:
        await tx.execute("INSERT INTO seen (name, number) VALUES ($1, 1)", event.receipt)


async def test_an_effect_is_repeated_with_the_same_key_and_its_outcome_is_handled_once(
    store: Postgres, kafka: Kafka
) -> None:
    actor = Till()
    async with running(relay(store, kafka), consumer(store, kafka, actor)):
        await publish(store, Counted(name="k", number=1))

        async def handled() -> bool:
            return bool(actor.calls) and await seen(store, actor.calls[0]) == [1]

        await until(handled)
    assert len(actor.calls) == 2
    assert len(set(actor.calls)) == 1


async def test_a_redelivered_event_changes_nothing(store: Postgres, kafka: Kafka) -> None:
    await publish(store, Counted(name="k", number=1))
    reader = store.outbox("kafka", frozenset({CHANNEL.name}))
    assert await reader.acquire("me")
    records: list[Record] = [pending.record for pending in await reader.read(10)]
    await kafka.send(records * 3)
    await kafka.send([_next_after(records[0])])
    async with running(consumer(store, kafka, Counter())):

        async def last_there() -> bool:
            return 2 in await seen(store, "k")

        await until(last_there)
    assert await seen(store, "k") == [1, 2]


def _next_after(record: Record) -> Record:
    envelope = Envelope.of(record)
    later = Envelope(uuid4(), envelope.type, envelope.source, envelope.time, envelope.key)
    return later.record(record.channel, Counted(name=record.key, number=2).model_dump_json().encode())


def _with_attempts(route: Route, attempts: int) -> Route:
    return replace(route, attempts=attempts)


async def _publish_and_fail(store: Postgres) -> None:
    async with store.transaction() as tx:
        tx.publish(Counted(name="ghost", number=0))
        raise RuntimeError
