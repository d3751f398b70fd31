"""What PostgreSQL forgets when it is killed: numbers it gave to transactions and rows that never committed.

It gives the same numbers out again. A receipt that a broker kept must not take the new transactions for the old ones.
"""

from uuid import uuid4

import asyncpg
import psutil
import pytest

from corelib.clock import SystemClock
from corelib.outbox_log import OutboxLog
from corelib.postgres.store import Postgres
from corelib.transaction import Origin
from crash.app import ENTRIES, EntryAdded
from crash.stage import Servers

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHANNELS = frozenset({ENTRIES.name})


async def add(store: Postgres, number: int) -> None:
    async with store.transaction() as tx:
        tx.publish(EntryAdded(account="a", number=number))


async def next_numbers(log: OutboxLog) -> tuple[list[int], bytes]:
    chunk = await log.read(100)
    return (
        ([EntryAdded.model_validate_json(row[4]).number for row in chunk.rows], chunk.receipt) if chunk else ([], b"")
    )


async def opened(dsn: str, schema: str) -> Postgres:
    store = Postgres(dsn, schema=schema)
    await store.provision()
    await store.open(Origin("crash", SystemClock(), frozenset({EntryAdded})))
    return store


async def test_what_commits_after_a_crash_is_not_taken_for_what_was_sent_before_it(own_servers: Servers) -> None:
    schema = f"t{uuid4().hex[:12]}"
    store = await opened(own_servers.dsn, schema)
    log = store.log("kafka", CHANNELS)
    assert await log.acquire("me")
    await add(store, 1)
    await nobody_flushes(own_servers.dsn)
    under_way = await asyncpg.connect(own_servers.dsn, server_settings={"search_path": schema})
    await under_way.execute("BEGIN; SELECT count(nextval('outbox_id')) FROM generate_series(1, 1000)")
    sent, receipt = await next_numbers(log)
    assert sent == [1]

    await own_servers.postgres.crash()  # the broker has the receipt, and the cursor has not moved
    await own_servers.postgres.restart()
    await store.close()
    store = await opened(own_servers.dsn, schema)
    later = range(2, 20)
    for number in later:
        await add(store, number)
    log = store.log("kafka", CHANNELS)
    assert await log.acquire("me")
    await log.recover(receipt)
    found: list[int] = []
    while numbers := (await next_numbers(log))[0]:
        found += numbers
    assert found == list(later)
    await store.close()


async def nobody_flushes(dsn: str) -> None:
    """Let what no commit waits for stay in memory, where it is for a fifth of a second at other times."""
    connection = await asyncpg.connect(dsn)
    for kind in ("walwriter", "background writer", "checkpointer"):
        pid = await connection.fetchval("SELECT pid FROM pg_stat_activity WHERE backend_type = $1", kind)
        psutil.Process(pid).suspend()
    await connection.close()
