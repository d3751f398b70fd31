"""Whether PostgreSQL lets the outbox do its work."""

from collections.abc import Iterator, Sequence

from corelib.doctor.finding import Case, Finding, note, problem, span, warning
from corelib.postgres import operator_queries as queries
from corelib.postgres.store import Postgres

_OLD_XIDS = 1_000_000_000
_MEBIBYTE = 1 << 20
_NO_NEXT_DAY = (
    "it cannot make the inbox's table of the next day, which is done two days ahead; from the first day without one"
    " handlers fail"
)
_HOLDS_RING = (
    "it has read or written an outbox table, so the ring cannot turn past it, and grows; events flow meanwhile"
)
_HOLDS_VACUUM = "what others update or delete meanwhile stays as dead rows; the outbox makes none, and goes on"


async def transactions(case: Case) -> Sequence[Finding]:
    """Name transactions that hold the ring, or keep PostgreSQL from clearing up behind everybody else."""
    store = _postgres(case)
    return [
        warning(
            "postgres",
            f"a transaction of {row['usename']} ({row['application_name'] or 'unnamed'}, pid {row['pid']}, database"
            f" {row['datname']}, {row['state']}) is open for {span(row['seconds'])}: "
            + (_HOLDS_RING if row["holds_ring"] else _HOLDS_VACUUM),
            f"Let it end, or end it: SELECT pg_terminate_backend({row['pid']}). Set"
            " idle_in_transaction_session_timeout.",
        )
        for row in await store.fetch(queries.LONG_TRANSACTIONS, case.long)
    ]


async def ring(case: Case) -> Sequence[Finding]:
    """Tell when the ring should have turned long ago, what it holds, and for whom though nobody is there."""
    store = _postgres(case)
    relays = [row["relay"] for row in await store.fetch(queries.RELAYS)]
    found = [
        warning(
            "outbox ring",
            f"cannot turn past what relay {relay} has not read, which this service does not have",
            f"If no release has it any more: `corelib outbox forget {relay}`.",
        )
        for relay in relays
        if relay not in case.service.relays()
    ]
    row = await store.fetchrow(queries.RING_STATE)
    if row is None or row["seconds"] < 2 * store.keep.total_seconds():
        return found
    return [
        *found,
        warning(
            "outbox ring",
            f"has not turned for {span(row['seconds'])}, due after {span(store.keep.total_seconds() / 2)};"
            f" it holds {row['bytes'] // _MEBIBYTE} MiB",
            "It turns once every relay is past its oldest table, and no transaction has a lock on it: see the other"
            " findings. The relay's process turns it; is one running?",
        ),
    ]


async def rights(case: Case) -> Sequence[Finding]:
    """Ask now for the rights that are needed at midnight, and at the next turn of the ring."""
    row = await _postgres(case).fetchrow(queries.KEEPING_RIGHTS)
    return [] if row is None else list(judge_rights(**row))


def judge_rights(
    *, role: str, schema: str, may_create: bool, not_emptied: Sequence[str], not_owned: Sequence[str]
) -> Iterator[Finding]:
    """Say what a role cannot do that its service will have to."""
    if not may_create:
        what = f"role {role} may not create tables in schema {schema}: {_NO_NEXT_DAY}"
        yield problem("inbox", what, f"GRANT CREATE ON SCHEMA {schema} TO {role}.")
    if not_owned:
        what = f"role {role} does not own {', '.join(not_owned)}: "
        what += _NO_NEXT_DAY if "inbox" in not_owned else "what is not its own it cannot drop when its time is over"
        statements = "; ".join(f"ALTER TABLE {schema}.{name} OWNER TO {role}" for name in not_owned)
        yield problem("inbox", what, f"{statements}. Give `corelib` the service's own role.")
    if not_emptied:
        what = f"role {role} may not empty {', '.join(not_emptied)}: the ring cannot turn, and grows"
        tables = ", ".join(f"{schema}.{name}" for name in not_emptied)
        yield problem("outbox ring", what, f"GRANT TRUNCATE ON {tables} TO {role}.")


async def age(case: Case) -> Sequence[Finding]:
    """Look at what ends in a database that refuses to write: transaction numbers that run out, vacuum turned off."""
    row = await _postgres(case).fetchrow(queries.DATABASE_AGE)
    return [] if row is None else list(judge_age(row["age"], autovacuum=row["autovacuum"], sees_all=row["sees_all"]))


def judge_age(oldest: int, *, autovacuum: bool, sees_all: bool) -> Iterator[Finding]:
    """Say what a database's age and settings mean."""
    if oldest > _OLD_XIDS:
        what = f"its oldest transaction number is {oldest:,} transactions old; at 2,000,000,000 it stops writing"
        yield problem("postgres", what, "VACUUM FREEZE the oldest tables; end long transactions.")
    if not autovacuum:
        what = "autovacuum is off: the outbox needs none, the service's own tables do"
        yield warning("postgres", what, "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf().")
    if not sees_all:
        what = "the role sees its own sessions only: long transactions of others stay unseen here"
        yield note("postgres", what, "GRANT pg_read_all_stats to the role that runs the doctor.")


def _postgres(case: Case) -> Postgres:
    store = case.service.store
    if not isinstance(store, Postgres):
        raise TypeError("a check of PostgreSQL was asked about another store")
    return store
