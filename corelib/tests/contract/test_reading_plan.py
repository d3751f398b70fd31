"""How PostgreSQL finds a page of the outbox: by an index, whatever waits behind it."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from corelib.postgres import log_queries, queries
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
        postgres_dsn, server_settings={"search_path": schema, **log_queries.PLANNED_FOR_RELAYS}
    )
    await connection.execute(FILL)
    yield connection
    await connection.close()


async def plan(connection: asyncpg.Connection, query: str, *args: object) -> str:
    rows = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {query}", *args)
    return "\n".join(row[0] for row in rows)


MODES = pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
YOUNG, LATE = "Index Scan using outbox_0_id", "Index Scan using outbox_0_xid"


def require_indexes(shown: str, *, looks: int) -> None:
    """Rows of the ring are looked for so many times, each time by the index on ids and twice by that on xids."""
    assert shown.count(YOUNG) == looks
    assert shown.count(LATE) == 2 * looks
    assert "Seq Scan on outbox_0" not in shown
    assert "Rows Removed" not in shown


FEW, MANY = log_queries.SURE_ROWS, 20_000
SIZED = pytest.mark.parametrize(("limit", "sized"), [(FEW, 0), (MANY, 1)])  # of many rows the sizes are read first


@SIZED
@MODES
@pytest.mark.asyncio(loop_scope="module")
async def test_a_page_is_read_from_the_indexes_without_a_look_at_the_rest(
    connection: asyncpg.Connection, mode: str, limit: int, sized: int
) -> None:
    await connection.execute(f"SET plan_cache_mode = {mode}")
    snapshot = await connection.fetchval("SELECT pg_current_snapshot()")
    shown = await plan(
        connection, log_queries.READ_PAGE, 10_000, "1", ["c"], ["3"], "1", "kafka", limit, snapshot, 10_000
    )
    require_indexes(shown, looks=1 + sized)


@SIZED
@MODES
@pytest.mark.asyncio(loop_scope="module")
async def test_a_tick_is_opened_and_read_from_the_indexes_in_one_statement(
    connection: asyncpg.Connection, mode: str, limit: int, sized: int
) -> None:
    await connection.execute(f"SET plan_cache_mode = {mode}")
    shown = await plan(connection, log_queries.READ_TICK, 10_000, "1", ["c"], ["3"], "1", "kafka", limit)
    require_indexes(shown, looks=2 + sized)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_lag_of_a_backlog_costs_a_look_at_its_first_row(connection: asyncpg.Connection) -> None:
    await connection.execute(log_queries.NEW_CURSOR, "relay")
    shown = await plan(connection, log_queries.OUTBOX_LAG, "relay", ["c"])
    assert "Index Scan using outbox_0_id" in shown
    assert "Seq Scan on outbox_0" not in shown
    assert "Sort  (" not in shown
    assert await connection.fetchval(log_queries.OUTBOX_LAG, "relay", ["c"]) > 0


@pytest.mark.parametrize("needed", [False, True])
@pytest.mark.asyncio(loop_scope="module")
async def test_whether_a_table_of_the_ring_can_be_emptied_is_told_by_its_indexes(
    connection: asyncpg.Connection, *, needed: bool
) -> None:
    async with connection.transaction():
        await connection.execute(queries.TURN_QUICKLY)
        seen = "'1:1:'" if needed else "pg_current_snapshot()"
        await connection.execute("DELETE FROM outbox_cursor")
        await connection.execute(f"INSERT INTO outbox_cursor (relay, done, database) VALUES ('relay', {seen}, '')")
        keep = timedelta(0)
        assert await connection.fetchval(queries.SLOT_IS_NEEDED[0], keep) is needed
        shown = await plan(connection, queries.SLOT_IS_NEEDED[0], keep)
    assert "Seq Scan on outbox_0" not in shown
    assert sum(int(rows) for rows in re.findall(r"Rows Removed by .*: (\d+)", shown)) <= 1  # the youngest
