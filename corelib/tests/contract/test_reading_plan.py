"""How PostgreSQL finds a page of the outbox: by an index, whatever waits behind it."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from corelib.postgres import queries
from corelib.postgres.store import Postgres

FILL = """
INSERT INTO outbox_0 (hash, channel, key, headers, payload)
SELECT n, 'c', n::text, '\\x00', '\\x00' FROM generate_series(1, 50000) n
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connection(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    schema = f"t{uuid4().hex[:12]}"
    await Postgres(postgres_dsn, schema=schema).provision()
    connection = await asyncpg.connect(
        postgres_dsn, server_settings={"search_path": schema, **queries.PLANNED_FOR_RELAYS}
    )
    await connection.execute(FILL)
    yield connection
    await connection.close()


async def plan(connection: asyncpg.Connection, query: str, *args: object) -> str:
    rows = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {query}", *args)
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_page_is_read_from_the_index_without_a_look_at_the_rest(
    connection: asyncpg.Connection, mode: str
) -> None:
    await connection.execute(f"SET plan_cache_mode = {mode}")
    snapshot = await connection.fetchval("SELECT pg_current_snapshot()")
    shown = await plan(connection, queries.READ_YOUNG, 10_000, "1", snapshot, ["c"], 100)
    assert "Index Scan using outbox_0_id" in shown
    assert "Sort  (" not in shown
    assert "Rows Removed" not in shown


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.asyncio(loop_scope="module")
async def test_late_rows_are_found_by_their_transactions(connection: asyncpg.Connection, mode: str) -> None:
    await connection.execute(f"SET plan_cache_mode = {mode}")
    snapshot = await connection.fetchval("SELECT pg_current_snapshot()")
    shown = await plan(connection, queries.READ_LATE, ["3"], "4", "5", 0, snapshot, ["c"], 100)
    assert shown.count("Index Scan using outbox_0_xid") == 2
    assert "outbox_0_id" not in shown


@pytest.mark.asyncio(loop_scope="module")
async def test_the_lag_of_a_backlog_costs_a_look_at_its_first_row(connection: asyncpg.Connection) -> None:
    await connection.execute(queries.NEW_CURSOR, "relay")
    shown = await plan(connection, queries.OUTBOX_LAG, "relay", ["c"])
    assert "Index Scan using outbox_0_id" in shown
    assert "Seq Scan on outbox_0" not in shown
    assert "Sort  (" not in shown
    assert await connection.fetchval(queries.OUTBOX_LAG, "relay", ["c"]) > 0
