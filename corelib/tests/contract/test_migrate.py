"""Installing and upgrading corelib's tables, on a real database and a real emulator, with others at work on them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from corelib.aws.clients import Aws
from corelib.clock import SystemClock
from corelib.config import ServiceSettings
from corelib.dynamo.store import Dynamo
from corelib.errors import Unavailable
from corelib.postgres import patience, schema
from corelib.postgres.schema import STEPS, Step
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.testing.running import free_port, until
from corelib.transaction import Origin

ORIGIN = Origin("test", SystemClock(), frozenset())
NEXT = STEPS[-1].version + 1
INDEXED = Step(NEXT, "a remark on cursors", "ALTER TABLE outbox_cursor ADD COLUMN remark text;", STEPS[-1].version)


@pytest.fixture
def name() -> str:
    return f"t{uuid4().hex[:12]}"


@pytest.fixture
def store(database: str, name: str) -> Postgres:
    return Postgres(database, schema=name)


@pytest_asyncio.fixture
async def connection(database: str, name: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database, server_settings={"search_path": name})
    yield connection
    await connection.close()


def release(monkeypatch: pytest.MonkeyPatch, steps: Sequence[Step]) -> None:
    """Be the release whose steps these are."""
    monkeypatch.setattr(schema, "STEPS", tuple(steps))
    monkeypatch.setattr(schema, "VERSION", steps[-1].version)


async def test_tables_are_made_once(store: Postgres) -> None:
    assert [change.summary for change in await store.migrate()] == [step.summary for step in STEPS]
    assert await store.migrate() == []
    assert await store.migrate(dry_run=True) == []
    await store.open(ORIGIN)
    await store.check()
    await store.close()


async def test_a_dry_run_changes_nothing_and_prints_what_makes_the_tables(
    store: Postgres, connection: asyncpg.Connection
) -> None:
    changes = await store.migrate(dry_run=True)
    with pytest.raises(Unavailable, match="corelib outbox migrate"):
        await store.open(ORIGIN)
    for change in changes:
        async with connection.transaction():
            await connection.execute(change.statement)
    assert await store.migrate(dry_run=True) == []
    await store.open(ORIGIN)
    await store.close()


async def test_of_many_at_once_each_step_is_done_by_one(store: Postgres) -> None:
    done = await asyncio.gather(*(store.migrate() for _ in range(8)))
    assert sum(map(len, done)) == len(STEPS)


async def test_a_newer_release_upgrades_and_the_older_one_goes_on(
    store: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.migrate()
    await store.open(ORIGIN)
    with monkeypatch.context() as newer:
        release(newer, [*STEPS, INDEXED])
        with pytest.raises(Unavailable, match=f"at step {NEXT - 1}, this release needs {NEXT}"):
            await store.check()
        assert [change.summary for change in await store.migrate()] == [INDEXED.summary]
        await store.check()
    await store.check()
    await store.close()


async def test_a_release_that_is_too_old_for_the_schema_says_so(
    store: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        release(newer, [*STEPS, Step(NEXT, "a break", "SELECT 1;", works_with=NEXT)])
        await store.migrate()
    with pytest.raises(Unavailable, match=f"at step {NEXT}, .* deploy a newer release"):
        await store.open(ORIGIN)
    for dry_run in (True, False):
        with pytest.raises(Unavailable, match=f"at step {NEXT}, .* deploy a newer release"):
            await store.migrate(dry_run=dry_run)


async def test_a_role_that_may_not_change_tables_is_told_whose_to_take(
    store: Postgres, database: str, name: str, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'none'")
    parts = urlsplit(database)
    guest = Postgres(parts._replace(netloc=f"{name}:none@{parts.netloc.split('@')[1]}").geturl(), schema=name)
    with pytest.raises(Unavailable, match="permission denied") as none_there:
        await guest.migrate()
    await store.migrate()
    await connection.execute(f"GRANT USAGE, CREATE ON SCHEMA {name} TO {name}")
    await connection.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {name} TO {name}")
    release(monkeypatch, [*STEPS, INDEXED])
    with pytest.raises(Unavailable, match="must be owner") as not_its_own:
        await guest.migrate()
    for told in (none_there, not_its_own):
        assert f"run it with the DSN of a role that owns schema {name}, or may create it" in str(told.value)


async def test_a_step_that_gets_no_lock_lets_others_pass_and_undoes_itself(
    store: Postgres, connection: asyncpg.Connection, database: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.migrate()
    release(monkeypatch, [*STEPS, INDEXED])
    monkeypatch.setattr(patience, "_LOCK_WAIT", "100ms")
    monkeypatch.setattr(patience, "_PATIENCE_SECONDS", 1.0)
    written = 0
    async with connection.transaction(), asyncpg.create_pool(database, min_size=1, max_size=1) as others:
        await connection.execute("LOCK TABLE outbox_cursor IN ROW EXCLUSIVE MODE")
        migrating = asyncio.create_task(store.migrate())
        while not migrating.done():
            insert = f"INSERT INTO {name}.outbox_cursor (relay, done, database) VALUES ($1, '1:1:', 'd')"
            await others.execute(insert, str(written))
            written += 1
        with pytest.raises(Unavailable, match="no lock"):
            await migrating
    assert written > 1
    assert [change.summary for change in await store.migrate()] == [INDEXED.summary]


async def test_a_role_that_may_not_create_schemas_upgrades_the_one_it_has(
    connection: asyncpg.Connection, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connection.execute(f"CREATE ROLE {name} LOGIN; CREATE SCHEMA {name} AUTHORIZATION {name}; SET ROLE {name}")
    assert len(await schema.migrate(connection, name)) == len(STEPS)
    release(monkeypatch, [*STEPS, INDEXED])
    assert len(await schema.migrate(connection, name)) == 1


async def test_a_service_without_its_tables_is_alive_says_what_it_waits_for_and_starts_by_itself(
    store: Postgres,
) -> None:
    service = Service("bare", ServiceSettings(port=free_port(), log_format="text"), store=store)
    stop = asyncio.Event()
    serving = asyncio.create_task(service.serve(stop))
    await until(lambda: bool(service.health.waiting_for))
    assert "corelib outbox migrate" in service.health.waiting_for
    assert not service.health.failed_parts
    await store.migrate()
    await until(lambda: service.health.started)
    stop.set()
    await serving


async def test_the_table_on_dynamodb_is_made_once(aws_endpoint: str) -> None:
    aws = Aws(endpoint_url=aws_endpoint, prefix=f"t{uuid4().hex[:8]}-")
    store = Dynamo("bare", aws)
    planned = await store.migrate(dry_run=True)
    with pytest.raises(Unavailable):
        await store.open(ORIGIN)
    assert await store.migrate() == planned
    assert "CreateTable" in planned[0].statement
    assert await store.migrate() == []
    await aws.close()
