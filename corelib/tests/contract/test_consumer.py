"""The consumer on real Kafka and PostgreSQL: rebalances, handlers that hang."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from contract.stand import TOPIC, Counted, record
from corelib.actor import Actor, Route, receive
from corelib.consumer.consumer import Consumer
from corelib.consumer.resume import resume
from corelib.kafka.broker import Kafka
from corelib.parking import Resumed
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.testing.running import parts_running, until

HANDLER = "Watcher.seen"

pytestmark = pytest.mark.parametrize("store", ["postgres"], indirect=True)


@dataclass(frozen=True)
class Watcher(Actor):
    failing: set[str | int] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)

    @receive
    async def seen(self, event: Counted, tx: PostgresTransaction) -> None:
        await tx.execute("INSERT INTO seen (name, number) VALUES ($1, $2)", event.name, event.number)
        if event.name in self.hanging:
            await asyncio.Event().wait()
        if self.failing & {event.name, event.number}:
            raise ValueError("cannot be seen")


def consumer(store: Postgres, kafka: Kafka, routes: Sequence[Route]) -> Consumer:
    return Consumer(lambda: kafka.subscribe("test", [TOPIC]), routes, store)


def routes_of(actor: Actor, **changes: Any) -> list[Route]:
    return [replace(route, **changes) for route in actor.routes()]


async def rows(store: Postgres) -> list[tuple[str, int]]:
    return [tuple(row) for row in await store.pool.fetch("SELECT name, number FROM seen ORDER BY n")]


async def test_replicas_that_come_and_go_lose_double_and_reorder_nothing(store: Postgres, kafka: Kafka) -> None:
    async def at_least(count: int) -> bool:
        return len(await rows(store)) >= count

    keys = [f"k-{number}" for number in range(12)]
    sent = [record(name, number) for number in range(60) for name in keys]
    routes = routes_of(Watcher())
    async with parts_running(consumer(store, kafka, routes)):
        await kafka.send(sent[:240])
        await until(lambda: at_least(40))
        async with parts_running(consumer(store, kafka, routes)):
            await kafka.send(sent[240:480])
            await until(lambda: at_least(300))
        await kafka.send(sent[480:])
        await until(lambda: at_least(520))
    async with parts_running(consumer(store, kafka, routes)):
        await until(lambda: at_least(len(sent)))
    found = await rows(store)
    assert {name: [n for each, n in found if each == name] for name in keys} == {name: list(range(60)) for name in keys}


async def test_events_of_a_key_that_wait_are_handled_in_one_transaction_and_each_once(
    store: Postgres, kafka: Kafka
) -> None:
    async def last() -> bool:
        return ("hot", 40) in await rows(store)

    sent = [record("hot", number) for number in range(40)]
    await kafka.send([*sent, *sent, record("hot", 40)])
    async with parts_running(consumer(store, kafka, routes_of(Watcher()))):
        await until(last)
    assert await rows(store) == [("hot", number) for number in range(41)]
    assert await store.pool.fetchval("SELECT count(DISTINCT xmin::text) FROM seen") < 41
    assert await store.pool.fetchval("SELECT count(*) FROM inbox") == 41


async def test_an_event_that_fails_undoes_nothing_before_it_and_parks_what_is_behind(
    store: Postgres, kafka: Kafka
) -> None:
    async def parked() -> list[int]:
        return [json.loads(each.record.payload)["number"] for each in await store.parking.list(HANDLER, "hot")]

    async def all_parked() -> bool:
        return len(await parked()) == 7

    await kafka.send([record("hot", number) for number in range(10)])
    async with parts_running(consumer(store, kafka, routes_of(Watcher(failing={3}), attempts=2))):
        await until(all_parked)
    assert await rows(store) == [("hot", 0), ("hot", 1), ("hot", 2)]
    assert await parked() == list(range(3, 10))
    assert await store.pool.fetchval("SELECT count(*) FROM inbox") == 3


async def test_what_one_replica_parked_is_known_to_the_next(store: Postgres, kafka: Kafka) -> None:
    actor = Watcher(failing={"bad"})
    routes = routes_of(actor, attempts=1)
    replicas = [consumer(store, kafka, routes) for _ in range(2)]
    stops = [asyncio.Event(), asyncio.Event()]
    tasks = [asyncio.create_task(each.run(stop)) for each, stop in zip(replicas, stops, strict=True)]

    async def parked(count: int) -> bool:
        return len(await store.parking.list(HANDLER, "bad")) == count

    async def good(number: int) -> bool:
        return ("good", number) in await rows(store)

    await kafka.send([record("bad", 0), record("good", 0)])
    await until(lambda: parked(1))
    await until(lambda: good(0))
    knowing = [index for index, each in enumerate(replicas) if (HANDLER, "bad") in each._parked]
    assert len(knowing) == 1
    stops[knowing[0]].set()
    await asyncio.wait_for(tasks[knowing[0]], 60)
    actor.failing.clear()
    await kafka.send([record("bad", 1), record("good", 1)])
    await until(lambda: parked(2))
    await until(lambda: good(1))
    assert await resume(store, routes, HANDLER, "bad") == Resumed(2)
    await kafka.send([record("bad", 2)])

    async def flows() -> bool:
        return [number for name, number in await rows(store) if name == "bad"] == [0, 1, 2]

    await until(flows)
    for stop in stops:
        stop.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 60)


async def test_a_handler_that_hangs_is_stopped_and_others_flow(store: Postgres, kafka: Kafka) -> None:
    routes = routes_of(Watcher(hanging={"stuck"}), attempts=2, deadline=timedelta(seconds=1))

    async def settled() -> bool:
        return bool(await store.parking.list(HANDLER, "stuck")) and len(await rows(store)) == 20

    async with parts_running(consumer(store, kafka, routes)):
        await kafka.send([record("stuck", 0), *(record(f"k-{number}", number) for number in range(20))])
        await until(settled)
    [parked] = await store.parking.list()
    assert parked.reason.startswith("TimeoutError")
    assert parked.attempts == 2
