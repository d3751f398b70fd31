"""What an event or a record may be the matter with, and that only its own key waits for it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import REGISTRY

from contract.stand import SEEN, TOPIC, Counted, record
from corelib.actor import Actor, receive
from corelib.broker import Assigned, Subscription
from corelib.consumer.consumer import Consumer
from corelib.kafka.broker import Kafka
from corelib.message import Record
from corelib.parking import MALFORMED
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.store import Failure, Store
from corelib.testing.running import parts_running, until
from corelib.transaction import Transaction

LONG = "".join(chr(33 + number * 7919 % 89) for number in range(9_000))
Fails = Callable[[Any], Awaitable[object]]


async def finds_no_file(_: Transaction) -> None:
    raise FileNotFoundError("template.txt")


async def waits_for_another_server(_: Transaction) -> None:
    raise TimeoutError("the other server")


async def asks_twice_at_once(tx: PostgresTransaction) -> None:
    await asyncio.gather(tx.fetch("SELECT pg_sleep(0.05)"), tx.fetch("SELECT 1"))


async def asks_with_too_many_values(tx: PostgresTransaction) -> None:
    await tx.fetch("SELECT $1::int", 1, 2)


async def makes_what_is_there(tx: Any) -> None:
    if isinstance(tx, PostgresTransaction):
        await tx.execute("INSERT INTO once VALUES ('taken')")
    else:
        tx.put(SEEN, {"name": "taken"}, new=True)


async def says_half_a_character(_: Transaction) -> None:
    raise ValueError(json.loads(r'"half a \ud83d"'))


@dataclass(frozen=True)
class Painter(Actor):
    """Fails at what is called bad."""

    fails: Fails
    drawn: list[str] = field(default_factory=list)

    @receive
    async def draw(self, event: Counted, tx: Transaction) -> None:
        if event.name == "bad":
            await self.fails(tx)
        else:
            self.drawn.append(event.name)


def running(subscribe: Callable[[], Subscription], painter: Painter, store: Store) -> AbstractAsyncContextManager[None]:
    routes = [replace(route, attempts=2) for route in painter.routes()]
    return parts_running(Consumer(subscribe, routes, store))


async def taken(store: Any) -> None:
    """Have what a handler is about to make."""
    if isinstance(store, Postgres):
        await store.pool.execute("CREATE TABLE once (name text PRIMARY KEY); INSERT INTO once VALUES ('taken')")
    else:
        await store.put(SEEN, {"name": "taken"})


@pytest.mark.parametrize("fails", [finds_no_file, waits_for_another_server, makes_what_is_there, says_half_a_character])
async def test_what_a_handler_fails_with_by_itself_is_not_blamed_on_the_database(
    store: Store, kafka: Kafka, fails: Fails
) -> None:
    await taken(store)
    await parks(store, kafka, fails)


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
@pytest.mark.parametrize("fails", [asks_twice_at_once, asks_with_too_many_values])
async def test_a_connection_that_is_used_wrongly_is_not_blamed_on_the_database(
    store: Store, kafka: Kafka, fails: Fails
) -> None:
    await parks(store, kafka, fails)


async def parks(store: Store, kafka: Kafka, fails: Fails) -> None:
    painter = Painter(fails)
    await kafka.send([record("bad"), record("good")])
    async with running(lambda: kafka.subscribe("test", [TOPIC]), painter, store):
        await until(lambda: has_parked(store, "Painter.draw", "bad"))
        await until(lambda: painter.drawn == ["good"])
    (parked,) = await store.parking.list()
    assert parked.attempts == 2


async def has_parked(store: Store, handler: str, key: str) -> bool:
    return (handler, key) in await store.parking.keys()


@pytest.mark.parametrize(
    "odd",
    [
        Record(TOPIC.name, "k", (("ce_id", "a\0b"),), b"{}"),
        Record(TOPIC.name, "k", (("ce_id", LONG),), b"{}"),
        Record(TOPIC.name, LONG, (("ce_id", "x"),), b"{}"),
        Record(TOPIC.name, "k\0", (("ce_id", "x"),), b"{}"),
        record("k")._replace(headers=(*record("k").headers[:4], ("ce_time", "2026-01-01T00:00:00"))),
    ],
    ids=["NUL in an id", "a long id", "a long key", "NUL in a key", "a time of nowhere"],
)
async def test_a_record_that_nobody_can_read_is_parked_and_others_flow(store: Store, kafka: Kafka, odd: Record) -> None:
    painter = Painter(finds_no_file)
    await kafka.send([odd, record("good")])
    async with running(lambda: kafka.subscribe("test", [TOPIC]), painter, store):
        await until(lambda: painter.drawn == ["good"])
        await until(lambda: store.parking.list(MALFORMED))
    (parked,) = await store.parking.list(MALFORMED)
    assert parked.record.key == odd.key.replace("\0", "\ufffd")
    assert await store.parking.list(MALFORMED, parked.record.key) == [parked]
    await store.parking.remove(parked)
    assert await store.parking.keys() == frozenset()


async def test_a_tombstone_with_a_header_without_value_is_parked_and_others_flow(
    store: Store, kafka: Kafka, kafka_bootstrap: str
) -> None:
    painter = Painter(finds_no_file)
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as foreign:
        await foreign.send_and_wait(kafka.topic(TOPIC.name), key=b"k", headers=[("x", None)])
    await kafka.send([record("k"), record("good")])
    async with running(lambda: kafka.subscribe("test", [TOPIC]), painter, store):
        await until(lambda: sorted(painter.drawn) == ["good", "k"])
        await until(lambda: store.parking.list(MALFORMED))
    (parked,) = await store.parking.list(MALFORMED)
    assert parked.record == Record(TOPIC.name, "k", (("x", ""),), b"")


async def test_what_waits_behind_a_key_with_nul_does_so_after_a_restart_too(store: Store, kafka: Kafka) -> None:
    """A consumer knows the key as the store shows it."""

    async def both_parked() -> bool:
        return len(await store.parking.list("Painter.draw")) == 2

    painter = Painter(finds_no_file)
    await store.parking.park("Painter.draw", record("first")._replace(key="k\ufffd"), Failure("of old"), attempts=1)
    await kafka.send([record("second")._replace(key="k\0"), record("good")])
    async with running(lambda: kafka.subscribe("test", [TOPIC]), painter, store):
        await until(lambda: painter.drawn == ["good"])
        await until(both_parked)


async def test_an_assignment_that_cannot_be_prepared_ends_the_subscription(kafka: Kafka) -> None:
    async def fails() -> None:
        raise RuntimeError("nobody knows what is parked")

    subscription = kafka.subscribe("test", [TOPIC])
    prepared: Assigned = fails
    await subscription.open(prepared)
    with pytest.raises(RuntimeError, match="nobody knows what is parked"):
        async with asyncio.timeout(30):
            await anext(subscription.deliveries())
    await subscription.close()


async def test_what_is_parked_is_shown_where_what_waits_cannot_be_told(
    store: Store, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> bool:
        return REGISTRY.get_sample_value("parked_records", {"handler": "Painter.draw"}) == 1

    async def lag() -> dict[str, int]:
        raise RuntimeError("not for you")

    def subscribe() -> Subscription:
        subscription = kafka.subscribe("test", [TOPIC])
        monkeypatch.setattr(subscription, "lag", lag)
        return subscription

    monkeypatch.setattr("corelib.consumer.consumer._WATCH_SECONDS", 0.05)
    async with running(subscribe, Painter(finds_no_file), store):
        await until(lambda: not shown())
        await store.parking.park("Painter.draw", record("bad"), Failure("it is bad"), attempts=1)
        await until(shown)
