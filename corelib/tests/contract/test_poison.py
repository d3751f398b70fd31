"""What an event or a record may be the matter with, and that only its own key waits for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from uuid import uuid4

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from corelib.actor import Actor, Route, receive
from corelib.broker import Assigned, Subscription
from corelib.clock import SystemClock
from corelib.consumer import Consumer
from corelib.ids import uuid7
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Envelope, Event, Record
from corelib.parking import MALFORMED
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.store import Failure, Store
from corelib.testing.running import until
from corelib.transaction import Origin

CHANNEL = Channel("drawn", partitions=1)
LONG = "".join(chr(33 + number * 7919 % 89) for number in range(9_000))
TABLE = "CREATE TABLE IF NOT EXISTS once (name text PRIMARY KEY)"


class Drawn(Event, type="test.drawn.v1", channels=(CHANNEL,), key="name"):
    name: str


Fails = Callable[[PostgresTransaction], Awaitable[object]]


async def finds_no_file(_: PostgresTransaction) -> None:
    raise FileNotFoundError("template.txt")


async def waits_for_another_server(_: PostgresTransaction) -> None:
    raise TimeoutError("the other server")


async def asks_twice_at_once(tx: PostgresTransaction) -> None:
    await asyncio.gather(tx.fetch("SELECT pg_sleep(0.05)"), tx.fetch("SELECT 1"))


async def asks_with_too_many_values(tx: PostgresTransaction) -> None:
    await tx.fetch("SELECT $1::int", 1, 2)


async def makes_what_is_there(tx: PostgresTransaction) -> None:
    await tx.execute("INSERT INTO once VALUES ('taken')")


@dataclass(frozen=True)
class Painter(Actor):
    """Fails at what is called bad."""

    fails: Fails
    drawn: list[str] = field(default_factory=list)

    @receive
    async def draw(self, event: Drawn, tx: PostgresTransaction) -> None:
        if event.name == "bad":
            await self.fails(tx)
        self.drawn.append(event.name)


@pytest_asyncio.fixture
async def store(postgres_dsn: str) -> AsyncIterator[Postgres]:
    store = Postgres(postgres_dsn, schema=f"t{uuid4().hex[:12]}", migrations=(TABLE,))
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset({Drawn})))
    yield store
    await store.close()


@pytest_asyncio.fixture
async def kafka(kafka_bootstrap: str) -> AsyncIterator[Kafka]:
    kafka = Kafka(kafka_bootstrap, prefix=f"t{uuid4().hex[:8]}-")
    await kafka.provision([CHANNEL])
    await kafka.open()
    yield kafka
    await kafka.close()


def drawn(name: str) -> Record:
    envelope = Envelope(uuid7(), Drawn.type, "test", SystemClock().now(), name)
    return envelope.record(CHANNEL.name, Drawn(name=name).model_dump_json().encode())


def routes_of(painter: Painter) -> list[Route]:
    return [replace(route, attempts=2) for route in painter.routes()]


@asynccontextmanager
async def running(subscribe: Callable[[], Subscription], painter: Painter, store: Store) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(Consumer(subscribe, routes_of(painter), store).run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 60)


@pytest.mark.parametrize(
    "fails",
    [
        finds_no_file,
        waits_for_another_server,
        asks_twice_at_once,
        asks_with_too_many_values,
        makes_what_is_there,
    ],
)
async def test_what_a_handler_fails_with_by_itself_is_not_blamed_on_the_database(
    store: Postgres, kafka: Kafka, fails: Fails
) -> None:
    await store.pool.execute("INSERT INTO once VALUES ('taken')")
    painter = Painter(fails)
    await kafka.send([drawn("bad"), drawn("good")])
    async with running(lambda: kafka.subscribe("test", [CHANNEL]), painter, store):
        await until(lambda: has_parked(store, "Painter.draw", "bad"))
        await until(lambda: painter.drawn == ["good"])
    (parked,) = await store.parking.list()
    assert parked.attempts == 2


async def has_parked(store: Store, handler: str, key: str) -> bool:
    return (handler, key) in await store.parking.keys()


@pytest.mark.parametrize(
    "record",
    [
        Record(CHANNEL.name, "k", (("ce_id", "a\0b"),), b"{}"),
        Record(CHANNEL.name, "k", (("ce_id", LONG),), b"{}"),
        Record(CHANNEL.name, LONG, (("ce_id", "x"),), b"{}"),
        Record(CHANNEL.name, "k\0", (("ce_id", "x"),), b"{}"),
    ],
    ids=["NUL in an id", "a long id", "a long key", "NUL in a key"],
)
async def test_a_record_that_nobody_can_read_is_parked_and_others_flow(
    store: Postgres, kafka: Kafka, record: Record
) -> None:
    painter = Painter(finds_no_file)
    await kafka.send([record, drawn("good")])
    async with running(lambda: kafka.subscribe("test", [CHANNEL]), painter, store):
        await until(lambda: painter.drawn == ["good"])
    (parked,) = await store.parking.list(MALFORMED)
    assert parked.record.key == record.key.replace("\0", "\ufffd")
    assert await store.parking.list(MALFORMED, parked.record.key) == [parked]
    await store.parking.remove(parked)
    assert await store.parking.keys() == frozenset()


async def test_what_waits_behind_a_key_with_nul_does_so_after_a_restart_too(store: Postgres, kafka: Kafka) -> None:
    """A consumer knows the key as the store shows it."""
    painter = Painter(finds_no_file)
    await store.parking.park("Painter.draw", drawn("first")._replace(key="k\ufffd"), Failure("of old"), attempts=1)
    await kafka.send([drawn("second")._replace(key="k\0"), drawn("good")])
    async with running(lambda: kafka.subscribe("test", [CHANNEL]), painter, store):
        await until(lambda: painter.drawn == ["good"])
    assert len(await store.parking.list("Painter.draw")) == 2


async def test_an_assignment_that_cannot_be_prepared_ends_the_subscription(kafka: Kafka) -> None:
    async def fails() -> None:
        raise RuntimeError("nobody knows what is parked")

    subscription = kafka.subscribe("test", [CHANNEL])
    prepared: Assigned = fails
    await subscription.open(prepared)
    with pytest.raises(RuntimeError, match="nobody knows what is parked"):
        async with asyncio.timeout(30):
            await anext(subscription.deliveries())
    await subscription.close()


async def test_what_is_parked_is_shown_where_what_waits_cannot_be_told(
    store: Postgres, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> bool:
        return REGISTRY.get_sample_value("parked_records", {"handler": "Painter.draw"}) == 1

    async def lag() -> dict[str, int]:
        raise RuntimeError("not for you")

    def subscribe() -> Subscription:
        subscription = kafka.subscribe("test", [CHANNEL])
        monkeypatch.setattr(subscription, "lag", lag)
        return subscription

    monkeypatch.setattr("corelib.consumer._WATCH_SECONDS", 0.05)
    async with running(subscribe, Painter(finds_no_file), store):
        await until(lambda: not shown())
        await store.parking.park("Painter.draw", drawn("bad"), Failure("it is bad"), attempts=1)
        await until(shown)
