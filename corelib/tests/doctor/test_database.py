"""What of PostgreSQL keeps an outbox and an inbox from their work."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from corelib.config import ServiceSettings
from corelib.doctor import database as checks
from corelib.doctor.finding import Case, Level
from corelib.errors import Unavailable
from corelib.postgres import operator_queries
from corelib.postgres.inbox import Inbox
from corelib.postgres.store import Postgres
from corelib.service import Service
from doctor.notes import nothing, said


async def test_a_transaction_that_is_open_for_long(postgres: Service, database: str) -> None:
    connection = await asyncpg.connect(database, server_settings={"application_name": "forgotten-job"})
    async with connection.transaction():
        await connection.execute("SELECT pg_current_xact_id()")
        found = await said(checks.transactions, postgres, long=timedelta(0))
    await connection.close()
    (line,) = (line for line in found.splitlines() if "forgotten-job" in line)
    assert "stays as dead rows" in line
    assert "pg_terminate_backend" in line
    assert "forgotten-job" not in await said(checks.transactions, postgres, long=timedelta(0))


async def test_a_transaction_that_holds_the_ring_by_reading_it(postgres: Service, database: str) -> None:
    connection = await asyncpg.connect(database, server_settings={"application_name": "nightly-dump"})
    schema = await postgres.store.fetchrow("SELECT current_schema() AS name")  # type: ignore[attr-defined]  # it is PostgreSQL
    async with connection.transaction(isolation="read_committed", readonly=True):
        await connection.execute(f"SELECT FROM {schema['name']}.outbox_1")
        found = await said(checks.transactions, postgres, long=timedelta(0))
    await connection.close()
    (line,) = (line for line in found.splitlines() if "nightly-dump" in line)
    assert "the ring cannot turn past it" in line
    assert "pg_terminate_backend" in line


async def test_a_ring_that_does_not_turn(database: str) -> None:
    store = Postgres(database, schema=f"t{uuid4().hex[:12]}", keep=timedelta(microseconds=1))
    service = Service("notes", ServiceSettings(), store=store)
    await store.provision()
    await store.open(service.origin)
    assert "warning outbox ring: has not turned" in await said(checks.ring, service)
    store.keep = timedelta(days=1)
    assert not await said(checks.ring, service)
    await store.close()


async def test_rights_that_are_missed_at_midnight_only(tenant: tuple[Service, asyncpg.Connection]) -> None:
    service, owner = tenant
    await service.store.check()
    next_week = datetime.now(UTC) + timedelta(days=7)
    inbox = Inbox(service.store._pool)  # type: ignore[attr-defined]  # as its keeper has it
    with pytest.raises(Unavailable):
        await inbox.make(next_week)
    found = await checks.rights(Case(service, nothing))
    assert [(each.level, each.about) for each in found] == [
        (Level.PROBLEM, "inbox"),
        (Level.PROBLEM, "inbox"),
        (Level.PROBLEM, "outbox ring"),
    ]
    assert f"does not own inbox, inbox_{datetime.now(UTC):%Y%m%d}, " in found[1].what
    for each in found:
        for statement in re.findall(r"(?:GRANT|ALTER) .+?(?=; |\.(?: |$))", each.remedy):
            await owner.execute(statement)
    assert not await checks.rights(Case(service, nothing))
    await inbox.make(next_week)


async def test_a_day_of_the_inbox_that_somebody_else_made(tenant: tuple[Service, asyncpg.Connection]) -> None:
    service, owner = tenant
    found = await checks.rights(Case(service, nothing))
    role, schema = found[0].remedy.removesuffix(".").split(" TO ")[1], found[0].remedy.split(" ")[4]
    await owner.execute(
        f"GRANT CREATE ON SCHEMA {schema} TO {role}; GRANT TRUNCATE ON ALL TABLES IN SCHEMA {schema} TO {role}"
    )
    await owner.execute(f"ALTER TABLE {schema}.inbox OWNER TO {role}")
    (left,) = await checks.rights(Case(service, nothing))
    assert "cannot drop when its time is over" in left.what
    assert f"ALTER TABLE {schema}.inbox_{datetime.now(UTC):%Y%m%d} OWNER TO {role}" in left.remedy


async def test_a_role_that_sees_only_its_own_sessions(postgres: Service, database: str) -> None:
    assert not await said(checks.age, postgres)
    connection = await asyncpg.connect(database)
    role = f"r{uuid4().hex[:12]}"
    await connection.execute(f"CREATE ROLE {role}")
    await connection.execute(f"SET ROLE {role}")
    row = await connection.fetchrow(operator_queries.DATABASE_AGE)
    await connection.close()
    assert row is not None
    (found,) = checks.judge_age(row["age"], autovacuum=row["autovacuum"], sees_all=row["sees_all"])
    assert "pg_read_all_stats" in found.remedy


def test_transaction_numbers_that_run_out_and_vacuum_turned_off() -> None:
    levels = [found.level for found in checks.judge_age(1_500_000_000, autovacuum=False, sees_all=True)]
    assert levels == [Level.PROBLEM, Level.WARNING]
