"""Events travel to PostgreSQL in one message with COMMIT: as literals, and all or nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import example, given
from hypothesis import strategies as st

from corelib.clock import SystemClock
from corelib.errors import InvalidEvent
from corelib.headers import unpack
from corelib.message import Channel, Event
from corelib.once import run_once
from corelib.postgres.literals import binary, text
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import sql, write_events
from corelib.transaction import Origin, Transaction

SAID = Channel("said")
TABLE = "CREATE TABLE IF NOT EXISTS state (id text PRIMARY KEY)"
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


class Said(Event, type="test.said.v1", channels=(SAID,), key="who"):
    who: str
    words: str = ""


@pytest_asyncio.fixture
async def store(postgres_dsn: str) -> AsyncIterator[Postgres]:
    store = Postgres(postgres_dsn, schema=f"t{uuid4().hex[:12]}", migrations=(TABLE,), pool_size=1)
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset({Said})))
    yield store
    await store.close()


async def say(store: Postgres, who: str, statement: str) -> None:
    async with store.transaction() as tx:
        await tx.execute(statement)
        tx.publish(Said(who=who))


async def _fail_after_writing(store: Postgres) -> None:
    async with store.transaction() as tx:
        tx.publish(Said(who="ghost"))
        await tx.commit()
        raise ZeroDivisionError


async def keys(store: Postgres) -> list[str]:
    return [row["key"] for row in await store.fetch("SELECT key FROM outbox_0 ORDER BY id")]


@pytest.fixture(scope="module")
def asked(postgres_dsn: str) -> Iterator[tuple[asyncio.Runner, list[asyncpg.Connection]]]:
    """Connections with either setting of what a backslash means in a plain string."""
    with asyncio.Runner() as runner:
        connections = [
            runner.run(asyncpg.connect(postgres_dsn, server_settings={"standard_conforming_strings": setting}))
            for setting in ("on", "off")
        ]
        yield runner, connections
        for connection in connections:
            runner.run(connection.close())


@given(words=st.text(CHARACTERS), raw=st.binary())
@example(words="'); DROP TABLE x; --", raw=b"")
@example(words="\\'; \\", raw=b"\\'\0")
@example(words="E'\\x00$$ $1 \u2028\U0010ffff", raw=bytes(range(256)))
def test_literals_mean_what_they_were_made_of(
    asked: tuple[asyncio.Runner, list[asyncpg.Connection]], words: str, raw: bytes
) -> None:
    runner, connections = asked
    for connection in connections:
        statement = f"SELECT {text(words)}::text, {binary(raw)}::bytea, 7"
        row = runner.run(connection.fetchrow(statement))
        assert row is not None
        assert tuple(row) == (words, raw, 7)


def test_a_string_with_nul_would_end_the_statement_and_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        text("a\0b")


async def test_a_key_with_nul_is_refused_when_it_is_published(store: Postgres) -> None:
    async with store.transaction() as tx:
        with pytest.raises(InvalidEvent, match="who is the event's key and must be text without control characters"):
            tx.publish(Said(who="a\0b"))


async def test_any_event_is_written_as_it_was_published(store: Postgres) -> None:
    odd = 'it\'s \\ "$1" %s \n \u00e9\U0001f600'
    async with store.transaction() as tx:
        tx.publish(Said(who=odd, words=odd))
    (row,) = await store.fetch("SELECT key, headers, payload FROM outbox_0")
    assert row["key"] == odd
    assert dict(unpack(row["headers"]))["ce_type"] == "test.said.v1"
    assert Said.model_validate_json(row["payload"]).words == odd


async def test_a_transaction_of_very_many_events_keeps_their_order(store: Postgres) -> None:
    async with store.transaction() as tx:
        for number in range(1_234):
            tx.publish(Said(who=str(number)))
    assert await keys(store) == [str(number) for number in range(1_234)]


async def test_large_events_of_a_transaction_go_in_statements_that_postgresql_takes(
    store: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []

    def noted(*args: Any) -> str:
        statements.append(write_events(*args))
        return statements[-1]

    monkeypatch.setattr("corelib.postgres.transaction.write_events", noted)
    async with store.transaction() as tx:
        for number in range(160):
            tx.publish(Said(who=str(number), words="x" * 250_000))
    assert await keys(store) == [str(number) for number in range(160)]
    assert len(statements) == 3
    assert max(map(len, statements)) < 36_000_000


async def test_state_and_events_are_undone_together_when_the_events_cannot_be_written(store: Postgres) -> None:
    await store.pool.execute("ALTER TABLE outbox_0 ADD CHECK (key <> 'bad')")
    with pytest.raises(asyncpg.CheckViolationError):
        await say(store, "bad", "INSERT INTO state VALUES ('bad')")
    await say(store, "good", "INSERT INTO state VALUES ('good')")  # on the same connection: the pool has one
    assert [row["id"] for row in await store.fetch("SELECT id FROM state")] == ["good"]
    assert await keys(store) == ["good"]


async def test_events_are_undone_with_a_state_that_fails_at_commit(store: Postgres) -> None:
    await store.pool.execute("ALTER TABLE state ADD COLUMN of text REFERENCES state DEFERRABLE INITIALLY DEFERRED")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await say(store, "child", "INSERT INTO state VALUES ('child', 'nobody')")
    assert await keys(store) == []


async def test_what_a_rolled_back_transaction_published_is_not_sent_by_the_next(store: Postgres) -> None:
    with pytest.raises(ZeroDivisionError):
        await _fail_after_writing(store)
    async with store.transaction() as tx:
        await tx.execute("INSERT INTO state VALUES ('x')")
    assert await keys(store) == []


async def test_a_handler_may_use_savepoints(store: Postgres) -> None:
    async with store.transaction() as tx:
        tx.publish(Said(who="kept"))
        savepoint = tx.connection.transaction()
        await savepoint.start()
        await tx.execute("INSERT INTO state VALUES ('undone')")
        await savepoint.rollback()
    assert await keys(store) == ["kept"]
    assert await store.fetch("SELECT id FROM state") == []


async def test_a_transaction_that_an_error_has_ended_is_no_success(store: Postgres) -> None:
    await store.pool.execute("INSERT INTO state VALUES ('there')")
    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await _swallow_a_failure(store)
    async with store.transaction() as tx:  # on the same connection
        await tx.execute("INSERT INTO state VALUES ('next')")
    assert [row["id"] for row in await store.fetch("SELECT id FROM state ORDER BY id")] == ["next", "there"]


async def _swallow_a_failure(store: Postgres) -> None:
    async with store.transaction() as tx:
        await tx.execute("INSERT INTO state VALUES ('written')")
        with contextlib.suppress(asyncpg.UniqueViolationError):
            await tx.execute("INSERT INTO state VALUES ('there')")


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_events_of_a_transaction_that_its_handler_has_ended_are_not_sent(store: Postgres, end: str) -> None:
    with pytest.raises(RuntimeError, match="ended its transaction itself"):
        await say(store, "nobody", end)
    assert await keys(store) == []


@pytest.mark.parametrize(("setting", "events"), [("ROLE pg_monitor", 0), ("statement_timeout = '7s'", 1)])
async def test_what_a_handler_sets_ends_with_its_transaction(store: Postgres, setting: str, events: int) -> None:
    before = await store.fetchrow(_SESSION)
    async with store.transaction() as tx:
        await tx.execute(f"SET {setting}")
        for _ in range(events):
            tx.publish(Said(who="me"))
    assert await store.fetchrow(_SESSION) == before  # on the same connection
    assert len(await keys(store)) == events


_SESSION = "SELECT current_user, current_setting('search_path'), current_setting('statement_timeout')"


async def test_a_statement_prepared_before_its_table_was_altered_is_run_again(store: Postgres) -> None:
    async with store.transaction() as tx:
        await tx.fetch("SELECT * FROM state")
    await store.pool.execute("ALTER TABLE state ADD COLUMN since date")  # as the next release does in a rollout

    async def look(tx: Transaction) -> int:
        return len(await sql(tx).fetch("SELECT * FROM state"))

    assert await run_once(store, look) == 0
