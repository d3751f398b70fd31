"""What the relay reads: nothing skipped, nothing stalled, nothing twice, whatever commits when."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest

from corelib.errors import EraChanged
from corelib.message import Record
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import write_events
from corelib.store import Chunk
from log_relay.notes import CHANNEL, CHANNELS, Noted, following, leased, note, numbers


async def test_a_read_ahead_that_finds_nothing_moves_no_cursor_past_rows_on_their_way(store: Postgres) -> None:
    await note(store, 1)
    log = await leased(store)
    on_its_way = await log.read(10)
    assert on_its_way
    assert await log.read(10) is None
    await log.release()
    assert await following(await leased(store, "other")) == [1]


@asynccontextmanager
async def open_transaction(dsn: str, schema: str = "public") -> AsyncIterator[asyncpg.Connection]:
    """Give a connection whose transaction has a number and is under way."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": schema})
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_current_xact_id()")
            yield connection
    finally:
        await connection.close()


def _record(number: int, name: str) -> Record:
    return Record(CHANNEL.name, name, (), Noted(name=name, number=number).model_dump_json().encode())


async def test_rows_with_lower_ids_that_commit_late_are_not_skipped(store: Postgres, postgres_dsn: str) -> None:
    log = await leased(store)
    async with open_transaction(postgres_dsn, store._schema) as slow:
        await slow.execute(write_events([_record(1, "slow"), _record(2, "slow")], 0, {}))
        await note(store, 3, 4)
        assert await following(log) == [3, 4]
        await note(store, 5)
        assert await following(log) == [5]
    assert await following(log) == [1, 2]
    assert await following(log) == []


async def test_an_aborted_transaction_delivers_nothing(store: Postgres, postgres_dsn: str) -> None:
    log = await leased(store)
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": store._schema})
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(write_events([_record(1, "ghost")], 0, {}))
    await note(store, 2)
    assert await following(log) == [2]
    await transaction.rollback()
    await connection.close()
    await note(store, 3)
    assert await following(log) == [3]


async def test_a_transaction_left_open_here_or_in_another_database_stalls_nothing(
    store: Postgres, postgres_dsn: str, database: str
) -> None:
    assert urlsplit(database).path != urlsplit(postgres_dsn).path
    async with open_transaction(postgres_dsn), open_transaction(database):
        log = await leased(store)
        for number in range(3):
            await note(store, number)
            assert await following(log) == [number]


async def test_a_backlog_is_read_in_pages_each_row_once_in_order(store: Postgres) -> None:
    await note(store, *range(25))
    log = await leased(store)
    pages: list[Chunk] = []
    while (chunk := await log.read(10)) is not None:
        pages.append(chunk)
    assert [numbers(page.rows) for page in pages] == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    await log.commit(pages[0].after)
    log.rewind()
    assert await following(log) == list(range(10, 25))


async def test_a_tick_opened_anew_is_read_to_its_own_end(store: Postgres) -> None:
    """It has the number, and begins with the rows, of one that was read to its end and never delivered."""
    log = await leased(store)
    await note(store, 1, 2, 3)
    assert await following(log) == [1, 2, 3]
    await log.release()
    await note(store, 4, 5)
    assert await log.acquire("me")
    assert await following(log, 3) == [1, 2, 3]
    assert await following(log) == [4, 5]


_LARGE = """
INSERT INTO outbox_0 (hash, channel, key, headers, payload)
SELECT 0, $1, 'k', '\\x00', convert_to(format('{"name":"k","number":%s,"pad":"%s"}', n, repeat('x', 200000)), 'UTF8')
FROM generate_series(4, 403) AS n
"""
_ROOM = 64 * 1024 * 1024


async def test_a_page_has_room_in_memory_when_large_events_follow_small_ones(store: Postgres) -> None:
    await note(store, 1, 2, 3)
    await store.pool.execute(_LARGE, CHANNEL.name)
    log = await leased(store)
    pages: list[Chunk] = []
    while (chunk := await log.read(20_000)) is not None:
        assert sum(len(row[4]) for row in chunk.rows) <= _ROOM
        pages.append(chunk)
    assert [number for page in pages for number in numbers(page.rows)] == list(range(1, 404))
    assert [page.more for page in pages] == [True, False]


@pytest.mark.parametrize(
    "restored",
    ["UPDATE outbox_cursor SET database = 'another'", "UPDATE outbox_cursor SET done = '900000000000:900000000000:'"],
)
async def test_in_a_restored_database_the_relay_refuses_and_says_what_to_do(store: Postgres, restored: str) -> None:
    log = await leased(store)
    await log.release()
    await store.pool.execute(restored)
    with pytest.raises(EraChanged, match="corelib outbox new-era"):
        await store.log("kafka", CHANNELS).acquire("me")
