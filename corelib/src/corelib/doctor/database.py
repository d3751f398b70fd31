"""Whether PostgreSQL lets the outbox do its work."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from corelib.doctor.finding import Case, Finding, note, problem, span, warning
from corelib.postgres import operator_queries as queries
from corelib.postgres.store import Postgres

_OLD_XIDS = 1_000_000_000
_MEBIBYTE = 1 << 20


async def transactions(case: Case) -> Sequence[Finding]:
    """Name transactions that keep PostgreSQL from clearing up behind everybody else."""
    store = _postgres(case)
    return [
        warning(
            "postgres",
            f"a transaction of {row['usename']} ({row['application_name'] or 'unnamed'}, pid {row['pid']}, database"
            f" {row['datname']}, {row['state']}) is open for {span(row['seconds'])}: what others update or delete"
            " meanwhile stays as dead rows; the outbox makes none, and goes on",
            f"Let it end, or end it: SELECT pg_terminate_backend({row['pid']}). Set"
            " idle_in_transaction_session_timeout.",
        )
        for row in await store.fetch(queries.LONG_TRANSACTIONS, case.long)
    ]


async def ring(case: Case) -> Sequence[Finding]:
    """Tell when the ring should have turned long ago, and what it holds."""
    store = _postgres(case)
    row = await store.fetchrow(queries.RING_STATE)
    if row is None or row["seconds"] < 2 * store.keep.total_seconds():
        return []
    return [
        warning(
            "outbox ring",
            f"has not turned for {span(row['seconds'])}, due after {span(store.keep.total_seconds() / 2)};"
            f" it holds {row['bytes'] // _MEBIBYTE} MiB",
            "It turns once every relay is past its oldest table, and no transaction has a lock on it: see the other"
            " findings. The relay's process turns it; is one running?",
        )
    ]


async def clock(case: Case) -> Sequence[Finding]:
    """Compare the database's clock with this machine's, at the middle of a round trip."""
    store, began = _postgres(case), time.time()
    row = await store.fetchrow("SELECT clock_timestamp() AS there")
    here = datetime.fromtimestamp((began + time.time()) / 2, UTC)
    if row is None or abs(row["there"] - here) <= case.skew:
        return []
    ahead = (row["there"] - here).total_seconds()
    way = "ahead of" if ahead > 0 else "behind"
    return [
        warning(
            "clocks",
            f"the database's clock is {abs(ahead):.1f} s {way} this machine's",
            "Synchronise both (NTP): timers fire by the service's clock, lag is measured across the two.",
        )
    ]


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
