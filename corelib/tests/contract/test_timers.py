"""Timers on both stores: once, not before their time, whatever clocks do, and not at all once they are cancelled."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from corelib.aws.clients import Aws
from corelib.clock import Clock, ManualClock, SystemClock
from corelib.dynamo.store import Dynamo
from corelib.message import Channel, Envelope, Event, parse
from corelib.postgres import queries
from corelib.postgres.store import Postgres
from corelib.store import Store
from corelib.timers import Timers
from corelib.transaction import REMEMBER, Origin, Timer

CHANNEL = Channel("rung")
Open = Callable[[Clock], Awaitable[Store]]


class Rung(Event, type="test.rung.v1", channels=(CHANNEL,), key="name"):
    name: str
    number: int = 0


class Skewed(SystemClock):
    """The clock of a machine that is wrong by so much."""

    def __init__(self, by: timedelta) -> None:
        self.by = by

    def now(self) -> datetime:
        return super().now() + self.by


@pytest_asyncio.fixture(params=["postgres", "dynamodb"])
async def replica(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """Open any number of stores as replicas of one service would."""
    opened: list[Store] = []
    name = f"t{uuid4().hex[:10]}"
    address = request.getfixturevalue("postgres_dsn" if request.param == "postgres" else "aws_endpoint")

    def build() -> Store:
        if request.param == "postgres":
            return Postgres(address, schema=name)
        return Dynamo("shop", Aws(endpoint_url=address, prefix=f"{name}-"))

    async def open_one(clock: Clock) -> Store:
        store = build()
        if not opened:
            await store.provision()
        await store.open(Origin("test", clock, frozenset({Rung})))
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        await store.close()


async def schedule(store: Store, at: datetime, *numbers: int, name: str = "k") -> list[Timer]:
    async with store.transaction() as tx:
        return [tx.schedule(Rung(name=name, number=number), at=at) for number in numbers]


async def cancel(store: Store, *timers: Timer) -> None:
    async with store.transaction() as tx:
        for timer in timers:
            tx.cancel(timer)


async def sent(store: Store) -> list[tuple[Envelope, int]]:
    """Return what a relay would send, in order."""
    reader = store.outbox("kafka", frozenset({CHANNEL.name}))
    async with asyncio.timeout(30):
        while not await reader.acquire("test"):  # noqa: ASYNC110 -- a lease is polled
            await asyncio.sleep(0.02)
    found = []
    while pending := await reader.read(100):
        found += [(Envelope.of(each.record), parse(each.record, Rung).number) for each in pending]
        await reader.acknowledge(pending)
    await reader.release()
    return found


async def fired(store: Store, count: int) -> None:
    """Fire until so many have fired: an index may show a timer a moment later."""
    async with asyncio.timeout(30):
        while count > 0:
            count -= await store.fire(100)


async def test_a_timer_fires_at_its_time_and_not_before(replica: Open) -> None:
    clock = ManualClock(datetime.now(UTC))
    store = await replica(clock)
    at = clock.now() + timedelta(hours=1)
    await schedule(store, at, 1)
    clock.advance(timedelta(minutes=59, seconds=59))
    assert await store.fire(100) == 0
    clock.advance(timedelta(seconds=1))
    await fired(store, 1)
    assert await store.fire(100) == 0
    [(envelope, number)] = await sent(store)
    assert (number, envelope.time) == (1, at)


async def test_an_event_happens_when_its_timer_is_due_so_that_the_inbox_takes_it_however_late_that_is(
    replica: Open,
) -> None:
    clock = ManualClock(datetime.now(UTC))
    store = await replica(clock)
    await schedule(store, clock.now() + REMEMBER + timedelta(days=30), 1)
    clock.advance(REMEMBER + timedelta(days=30))
    await fired(store, 1)
    [(envelope, _)] = await sent(store)
    assert envelope.time == clock.now()


async def test_timers_of_a_key_fire_in_order_of_their_time_however_many_replicas_fire(replica: Open) -> None:
    clock = ManualClock(datetime.now(UTC))
    stores = [await replica(clock) for _ in range(3)]
    for number in range(40):
        await schedule(stores[0], clock.now() + timedelta(seconds=number), number)
    clock.advance(timedelta(minutes=1))
    left = 40
    async with asyncio.timeout(60):
        while left:
            left -= sum(await asyncio.gather(*(store.fire(7) for store in stores)))
    assert [number for _, number in await sent(stores[0])] == list(range(40))


@pytest.mark.parametrize("by", [timedelta(hours=3), timedelta(hours=-3)])
async def test_a_replica_whose_clock_is_wrong_fires_neither_early_nor_late(replica: Open, by: timedelta) -> None:
    right, wrong = await replica(SystemClock()), await replica(Skewed(by))
    await schedule(right, datetime.now(UTC) + timedelta(hours=1), 1)
    await schedule(right, datetime.now(UTC) - timedelta(seconds=2), 2)
    await fired(wrong, 1)
    assert await wrong.fire(100) == 0
    assert [number for _, number in await sent(right)] == [2]


async def test_a_cancelled_timer_never_fires_and_one_that_fired_is_no_error(replica: Open) -> None:
    clock = ManualClock(datetime.now(UTC))
    store = await replica(clock)
    first, second = await schedule(store, clock.now() + timedelta(minutes=1), 1, 2)
    await cancel(store, first)
    clock.advance(timedelta(minutes=1))
    await fired(store, 1)
    await cancel(store, first, second)
    assert [number for _, number in await sent(store)] == [2]


async def test_a_cancellation_that_rolls_back_cancels_nothing(replica: Open) -> None:
    clock = ManualClock(datetime.now(UTC))
    store = await replica(clock)
    [timer] = await schedule(store, clock.now(), 1)

    async def change_ones_mind() -> None:
        async with store.transaction() as tx:
            tx.cancel(timer)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_ones_mind()
    await fired(store, 1)


async def test_fired_or_cancelled_but_never_both_and_never_twice(replica: Open) -> None:
    clock = ManualClock(datetime.now(UTC))
    stores = [await replica(clock) for _ in range(3)]
    timers = await schedule(stores[0], clock.now(), *range(10))
    counts = await asyncio.gather(
        stores[1].fire(100), stores[2].fire(100), *(cancel(stores[0], timer) for timer in timers[::2])
    )
    total = sum(count for count in counts if count)
    async with asyncio.timeout(30):
        while count := await stores[1].fire(100):
            total += count
    numbers = [number for _, number in await sent(stores[0])]
    assert len(numbers) == len(set(numbers)) == total
    assert set(range(1, 10, 2)) <= set(numbers)


async def test_the_part_fires_what_becomes_due_while_it_runs_and_stops_at_once(replica: Open) -> None:
    store = await replica(SystemClock())
    stop = asyncio.Event()
    running = asyncio.create_task(Timers(store).run(stop))
    at = datetime.now(UTC) + timedelta(milliseconds=300)
    await schedule(store, at, 1)
    found: list[tuple[Envelope, int]] = []
    async with asyncio.timeout(30):
        while not found:
            found = await sent(store)
    assert datetime.now(UTC) >= at
    stop.set()
    await asyncio.wait_for(running, 30)


async def test_a_million_that_wait_cost_firing_nothing(postgres_dsn: str) -> None:
    """What is due is read from the index: of those that wait no row is looked at."""
    name = f"t{uuid4().hex[:10]}"
    store = Postgres(postgres_dsn, schema=name)
    await store.provision()
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": name})
    await connection.execute(
        "INSERT INTO timer SELECT gen_random_uuid(), now() + n * interval '1 minute' - interval '3 minutes',"
        " '{}', '{}', '{}', '{}' FROM generate_series(1, 20000) n"
    )
    await connection.execute("ANALYZE timer")
    plan = await _plan(connection)
    scans = [node for node in plan if node.get("Index Name") == "timer_due"]
    assert scans, plan
    assert all("Index Cond" in node and node["Actual Rows"] <= 3 for node in scans)
    assert not [node for node in plan if node["Node Type"] == "Seq Scan"]
    await connection.close()


async def _plan(connection: asyncpg.Connection) -> Sequence[dict[str, Any]]:
    await connection.execute(f"PREPARE fire (timestamptz, int) AS {queries.FIRE_TIMERS}")
    text = await connection.fetchval("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE fire (NULL, 100)")

    def nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
        children: list[dict[str, Any]] = node.get("Plans", [])
        return [node, *(each for child in children for each in nodes(child))]

    return nodes(json.loads(text)[0]["Plan"])
