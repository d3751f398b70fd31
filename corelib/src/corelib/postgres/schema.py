"""corelib's tables in a service's schema: the steps by which they come to be, and the step a database is at.

A step is never changed once it has run anywhere: append another. Each is a transaction of its own that waits only a
moment for a lock, so a step must not rewrite or scan a large table. Roll a change out in two: first a step that old and
new releases work with (`works_with`), then, when the old one is gone, a step that removes what only it used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from corelib.errors import Unavailable
from corelib.postgres import queries
from corelib.postgres.patience import patiently
from corelib.store import Change


@dataclass(frozen=True)
class Step:
    """What leads from the version before to this one; releases from `works_with` on work with the result."""

    version: int
    summary: str
    sql: str
    works_with: int


STEPS: tuple[Step, ...] = (
    Step(1, "outbox ring, relay cursors, marks, timers, parked records", queries.OUTBOX_SCHEMA + queries.SCHEMA, 1),
    Step(2, "the audit of what operators did", queries.OPERATIONS, 1),
    Step(3, "eras of a restored outbox", queries.ERA, 1),
    Step(4, "an inbox of one table a day, tracebacks of parked records", queries.INBOX_SCHEMA, 4),
    Step(5, "parked records with keys of any length", queries.PARKED_KEYS_OF_ANY_LENGTH, 4),
    Step(6, "rows of the outbox that name their transport", queries.ROWS_NAME_THEIR_TRANSPORT, 4),
    Step(7, "operations of operators that one at a time carries out", queries.OPERATIONS_HAVE_A_RUN, 4),
)
VERSION = STEPS[-1].version
"""The version that this release is written for."""


async def pending(connection: asyncpg.Connection, schema: str) -> Sequence[Change]:
    """Return the steps that a schema lacks, as they would be run."""
    version = await _version(connection, schema)
    return [Change(step.summary, _script(step, schema)) for step in STEPS if step.version > version]


async def migrate(connection: asyncpg.Connection, schema: str) -> Sequence[Change]:
    """Run the steps that a schema lacks; return those. Safe on a live system, and from several processes at once.

    Raises `Unavailable` when a step got no lock; what ran until then stays, and running it again goes on from there.
    """
    done = [step for step in STEPS if await patiently(_apply, connection, schema, step)]
    return [Change(step.summary, _script(step, schema)) for step in done]


async def require(connection: asyncpg.Connection, schema: str) -> None:
    """Raise `Unavailable`, saying what to do, unless this release works with the schema as it is."""
    try:
        row = await connection.fetchrow(queries.SCHEMA_VERSION)
    except asyncpg.UndefinedTableError:
        row = None
    if row is None:
        raise Unavailable("postgres", f"schema {schema} lacks corelib's tables: run `corelib outbox migrate`")
    version, works_with = row
    if version < VERSION:
        raise Unavailable(
            "postgres",
            f"schema {schema} is at step {version}, this release needs {VERSION}: run `corelib outbox migrate`",
        )
    if works_with > VERSION:
        raise Unavailable(
            "postgres",
            f"schema {schema} is at step {version}, for releases that know step {works_with}; this one is older and"
            f" knows {VERSION}: deploy a newer release",
        )


async def _apply(connection: asyncpg.Connection, schema: str, step: Step) -> bool:
    """Run a step unless it ran before; tell whether it did."""
    async with connection.transaction():
        # One at a time: IF NOT EXISTS alone fails when two processes create the same thing.
        await connection.execute(queries.LOCK_SCHEMA)
        if await _version(connection, schema) >= step.version:
            return False
        await connection.execute(_script(step, schema))
    return True


async def _version(connection: asyncpg.Connection, schema: str) -> int:
    if await connection.fetchval("SELECT to_regclass($1)", f'"{schema}".schema_version') is None:
        return 0
    found: int = await connection.fetchval(f'SELECT coalesce(max(version), 0) FROM "{schema}".schema_version')  # noqa: S608 -- the service's own name
    return found


def _script(step: Step, schema: str) -> str:
    """Return a step as SQL to run in a transaction."""
    row = f"({step.version}, '{step.summary}', {step.works_with})"
    return "\n".join(
        (
            # CREATE SCHEMA asks for a right on the database even where the schema exists.
            f'DO $$ BEGIN IF to_regnamespace(\'"{schema}"\') IS NULL THEN CREATE SCHEMA "{schema}"; END IF; END $$;',
            f'SET LOCAL search_path TO "{schema}";',
            f"{queries.SCHEMA_VERSIONS.strip()}\n{step.sql.strip()}",
            f"INSERT INTO schema_version (version, summary, works_with) VALUES {row};",  # noqa: S608 -- our own step
        )
    )
