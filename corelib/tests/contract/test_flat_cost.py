"""P6 on a real PostgreSQL: thousands of events leave no dead row and no growth, also while a transaction stays open."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from corelib.clock import SystemClock
from corelib.message import Channel, Event
from corelib.postgres.ring import Ring
from corelib.postgres.store import Postgres
from corelib.transaction import Origin

CHANNEL = Channel("flat")
LAPS, TURNS, TRANSACTIONS, EVENTS = 4, 3, 25, 20


class Measured(Event, type="test.measured.v1", channels=(CHANNEL,), key="name"):
    name: str
    padding: str


@pytest_asyncio.fixture
async def store(database: str) -> AsyncIterator[Postgres]:
    store = Postgres(database, schema=f"t{uuid4().hex[:12]}")
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset({Measured})))
    await store.pool.execute("CREATE EXTENSION IF NOT EXISTS pgstattuple SCHEMA public")
    yield store
    await store.close()


@pytest_asyncio.fixture(params=["the same", "another"])
async def left_open(request: pytest.FixtureRequest, database: str, postgres_dsn: str) -> AsyncIterator[None]:
    """A transaction that has written, keeps a snapshot and never ends, in the same database or in another one."""
    connection = await asyncpg.connect(database if request.param == "the same" else postgres_dsn)
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id()")
    yield
    await connection.close()


async def fill(store: Postgres) -> None:
    """Write events, some of them large enough to lie beside their table."""
    for number in range(TRANSACTIONS):
        async with store.transaction() as tx:
            for _ in range(EVENTS):
                tx.publish(Measured(name=f"k{number % 7}", padding="x" * (20_000 if number == 0 else 200)))


async def drain(store: Postgres) -> int:
    """Relay everything; return how many rows that were."""
    log = store.log("kafka", frozenset({CHANNEL.name}))
    assert await log.acquire("me")
    rows, chunk = 0, await log.read(100)
    while chunk is not None:
        rows += len(chunk.rows)
        await log.commit(chunk.after)
        chunk = await log.read(100)
    assert log._read
    await log.commit(log._read)
    await log.release()
    return rows


async def bytes_of_the_ring(store: Postgres) -> list[int]:
    sizes = "SELECT pg_total_relation_size(format('outbox_%s', n)::regclass) AS size FROM generate_series(0, 2) n"
    return [row["size"] for row in await store.pool.fetch(sizes)]


async def dead_rows(store: Postgres) -> int:
    count = "SELECT sum((public.pgstattuple(oid::regclass)).dead_tuple_count) FROM pg_class WHERE oid = ANY($1::oid[])"
    tables = """SELECT array_agg(t) FROM pg_class c, unnest(ARRAY[c.oid, c.reltoastrelid]) t
                WHERE c.oid = ANY(ARRAY['outbox_0', 'outbox_1', 'outbox_2']::regclass[]) AND t <> 0"""
    return int(await store.pool.fetchval(count, await store.pool.fetchval(tables)))


@pytest.mark.usefixtures("left_open")
async def test_thousands_of_events_leave_no_dead_row_and_no_growth(store: Postgres) -> None:
    ring = Ring(store._pool)
    laps: list[int] = []
    for _ in range(LAPS):
        for _ in range(TURNS):
            await fill(store)
            assert await drain(store) == TRANSACTIONS * EVENTS
            assert await ring.turn(timedelta(0))
            store._ring._look_at = 0.0
            assert min(await bytes_of_the_ring(store)) < max(await bytes_of_the_ring(store)) / 4, "nothing was emptied"
        laps.append(sum(await bytes_of_the_ring(store)))
    assert laps[-1] <= laps[0] * 1.1, laps
    assert await dead_rows(store) == 0
