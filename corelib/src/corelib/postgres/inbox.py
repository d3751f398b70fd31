"""The inbox: one table a day, named by the day of the event, made ahead and dropped whole.

An event's mark lies in the table of the event's own day, so that uniqueness holds within that table and forgetting
costs nothing, however many marks there are.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

import asyncpg
import structlog

from corelib.errors import Conflict, Duplicate, Unavailable
from corelib.part import rest
from corelib.postgres import inbox_queries as queries
from corelib.postgres.literals import binary, text
from corelib.postgres.pool import Pool
from corelib.transaction import CLOCKS_DIFFER, Mark, Origin

_AHEAD = (timedelta(0), timedelta(days=1), timedelta(days=2))
_LOOK_SECONDS = 600.0
# Behind a waiting exclusive lock every writer queues: rather try again at the next look.
_LOCK_WAIT = "SET LOCAL lock_timeout = '100ms'"
_TABLE = "inbox"
_DAY = re.compile(rf"{_TABLE}_\d{{8}}")

log = structlog.get_logger(__name__)


def marks_statement(marks: Sequence[Mark], remembered: bytes | None) -> str:
    """Return the statement that writes events' marks; it fails if there is one of them (see `is_mark`)."""
    body = "NULL" if remembered is None else binary(remembered)
    return f"{queries.WRITE_MARKS} " + ",".join(
        f"('{_day(mark.made)}',{text(mark.scope)},{text(mark.id)},{body})" for mark in marks if mark.made is not None
    )


async def write_key(connection: asyncpg.Connection, mark: Mark, remembered: bytes | None) -> None:
    """Write a caller's key in one statement. Raises `Duplicate`."""
    rows = await connection.fetch(queries.WRITE_KEY, mark.scope, mark.id, remembered)
    if len(rows) != queries.KEY_ROWS:
        _, before = await recall_mark(connection, mark)
        raise Duplicate(mark.scope, mark.id, before)


async def recall_mark(connection: asyncpg.Connection, mark: Mark) -> tuple[bool, bytes | None]:
    """Return whether a mark is committed, and what was remembered with it."""
    if mark.made is None:
        row = await connection.fetchrow(queries.RECALL_KEY, mark.scope, mark.id)
    else:
        row = await connection.fetchrow(queries.RECALL_MARK, _day(mark.made), mark.scope, mark.id)
    return row is not None, row["remembered"] if row else None


def is_mark(error: asyncpg.UniqueViolationError) -> bool:
    """Return whether it was a mark that was there before."""
    # A day's, and no table of the service's whose name begins as theirs do.
    return _DAY.fullmatch(str(getattr(error, "table_name", None))) is not None


def lacks_day(error: asyncpg.CheckViolationError) -> bool:
    """Return whether a mark found no table of its day."""
    return bool(getattr(error, "table_name", None) == _TABLE and not getattr(error, "constraint_name", None))


class Inbox:
    """Makes and drops the tables of days."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def make(self, *made: datetime) -> None:
        """Make the tables of today, of the next days, and of these times. Raises `Conflict` where others are at it."""
        async with self._changing() as (connection, today, days):
            for day in sorted(({today + ahead for ahead in _AHEAD} | {_day(time) for time in made}) - days):
                following = day + timedelta(days=1)
                await connection.execute(queries.CREATE_INBOX_DAY.format(day=day, following=following))
                log.info("the inbox has another day", day=str(day))

    async def forget(self, origin: Origin) -> None:
        """Drop the tables of days that no event is accepted of any more, neither by our clock nor the database's."""
        async with self._changing() as (connection, today, days):
            for day in forgettable(days, min(today, _day(origin.clock.now())), origin.remember):
                await connection.execute(queries.DROP_INBOX_DAY.format(day=day))
                log.info("the inbox forgot a day", day=str(day))

    @contextlib.asynccontextmanager
    async def _changing(self) -> AsyncIterator[tuple[asyncpg.Connection, date, set[date]]]:
        async with self._pool.connection() as connection, connection.transaction(isolation="read_committed"):
            await connection.execute(_LOCK_WAIT)
            await connection.execute(queries.LOCK_INBOX)
            [row] = await connection.fetch(queries.INBOX_DAYS)
            yield connection, row["today"], set(row["days"])


def forgettable(days: Iterable[date], today: date, remember: timedelta) -> list[date]:
    """Return the days of which even the last event is older than what is remembered, with a day to spare."""
    return [day for day in sorted(days) if day + timedelta(days=1) + remember + CLOCKS_DIFFER < today]


class InboxKeeper:
    """A part that makes tables ahead and drops old ones; of several, whichever comes first does it."""

    name = "inbox"

    def __init__(self, inbox: Inbox, origin: Origin) -> None:
        self._inbox = inbox
        self._origin = origin

    async def run(self, stop: asyncio.Event) -> None:
        """Look every ten minutes until told to stop."""
        while not stop.is_set():
            try:
                await self._inbox.make()
                await self._inbox.forget(self._origin)
            except (Unavailable, Conflict) as error:
                log.warning("the inbox could not make or drop a day", reason=str(error))
            await rest(stop, _LOOK_SECONDS)


def _day(time: datetime) -> date:
    return time.astimezone(UTC).date()
