"""A database whose transactions read a snapshot by default: what is read behind a lock is still what stands there."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio

from corelib.clock import SystemClock
from corelib.postgres import inbox_queries
from corelib.postgres.connection import Connection
from corelib.postgres.store import Postgres
from corelib.testing.running import until
from corelib.transaction import Origin
from parking.counted import Counted, parked, record

HANDLER = "Counter.counted"
_WAITING = """
SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
               WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted)
"""


@pytest_asyncio.fixture(params=["repeatable read", "serializable"])
async def store(request: pytest.FixtureRequest, postgres_dsn: str) -> AsyncIterator[Postgres]:
    joined = "&" if "?" in postgres_dsn else "?"
    isolation = request.param.replace(" ", "%20")
    dsn = f"{postgres_dsn}{joined}default_transaction_isolation={isolation}"
    store = Postgres(dsn, schema=f"t{uuid4().hex[:10]}")
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset({Counted})))
    assert await store.pool.fetchval("SHOW transaction_isolation") == request.param
    yield store
    await store.close()


async def test_nothing_waits_behind_a_queue_that_has_just_ended(store: Postgres) -> None:
    await parked(store, record(0))
    async with store.pool.acquire() as other:
        async with other.transaction():
            await other.execute(inbox_queries.LOCK_PARKED, HANDLER, "k")
            joining = asyncio.create_task(store.parking.append(HANDLER, record(1)))
            await until(lambda: _is_waited_for(store))
            await other.execute("DELETE FROM parked")
        assert await joining == 0
    assert await store.parking.list() == []


async def _is_waited_for(store: Postgres) -> bool:
    waiting: bool = await store.pool.fetchval(_WAITING)
    return waiting


async def test_the_ring_empties_no_table_with_a_row_that_came_while_it_looked(
    store: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = Connection.execute

    async def late(self: Connection, query: str, *args: object, timeout: float | None = None) -> str:  # noqa: ASYNC109 -- asyncpg's
        if query.startswith("LOCK TABLE outbox_1"):
            await store.pool.execute(
                "INSERT INTO outbox_1 (hash, channel, key, headers, payload) VALUES (1, 'counted', 'k', '', '')"
            )
        return await execute(self, query, *args, timeout=timeout)

    monkeypatch.setattr(Connection, "execute", late)
    assert not await store._ring.turn(timedelta(0))
    assert await store.pool.fetchval("SELECT count(*) FROM outbox_1") == 1
