"""The translation of PostgreSQL's errors into corelib's: whose fault they are, in plain words."""

import contextlib
from collections.abc import Iterator
from types import TracebackType

import asyncpg

from corelib.errors import Conflict, Unavailable
from corelib.postgres.connection import Connection

RERUN = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    # Its table was altered since the statement was prepared; asyncpg has forgotten all of these when it says so.
    asyncpg.InvalidCachedStatementError,
)
DOWN = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.TargetServerAttributeNotMatched)
# Trouble of the database, never of the event or request in hand: it waits, and time or an operator mends it. By
# SQLSTATE, or by its class where a code is not named: https://www.postgresql.org/docs/current/errcodes-appendix.html
AMISS = {
    "08": "the connection broke",
    "25006": "the database is read-only: a standby, or default_transaction_read_only is on",
    "25P03": "a transaction did nothing for longer than idle_in_transaction_session_timeout",
    "25P04": "a transaction took longer than transaction_timeout",
    "28": "the role may not log in",
    "3D000": "there is no such database",
    "42501": "the role lacks a right: grant it what `corelib outbox migrate` made",
    "42P01": "a table is missing: run `corelib outbox migrate` and the service's own migrations",
    "53": "it lacks resources, or reached a limit of its configuration",
    "53100": "its disk is full: nothing can be written until there is room",
    "53200": "it lacks memory",
    "53300": "it has too many connections: raise max_connections, or lower pool_size",
    "57": "it is stopping or starting, or an operator intervened",
    # Whose fault it is that a statement took so long cannot be told: an overloaded database must not park every event
    # that comes by. A handler that is always too slow is parked by its own deadline, where this timeout is longer.
    "57014": "a statement took longer than statement_timeout, or an operator cancelled it",
    "57P04": "the database was dropped",
    "57P05": "a connection did nothing for longer than idle_session_timeout",
    "58": "its operating system fails it: see its log and its disks",
    "F0": "its configuration is broken: see its log",
    # Not all of class XX: extensions raise XX000 for whatever they do not like about a value.
    "XX001": "its data are corrupt: see its log, restore what is damaged",
    "XX002": "an index is corrupt: REINDEX it",
}
_CLASS = 2


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise `Conflict` for what a rerun mends and `Unavailable` for what only time, or an operator, does."""
    try:
        yield
    except RERUN as error:
        raise Conflict(f"postgres: {error}") from error
    except DOWN as error:
        raise Unavailable("postgres", repr(error)) from error
    except asyncpg.PostgresError as error:
        meaning = meaning_of(error)
        if meaning is None:
            raise
        raise Unavailable("postgres", f"{meaning} ({error})") from error


class Asked:
    """Around a statement: raises `Unavailable` for what the connection fails with, not for what is asked wrongly.

    `answer` is the last error that PostgreSQL answered with.
    """

    __slots__ = ("answer", "connection")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.answer: asyncpg.PostgresError | None = None

    def __enter__(self) -> None:
        """Nothing is to be done before."""

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """Translate."""
        if isinstance(error, asyncpg.PostgresError):
            self.answer = error
        asked_wrongly = isinstance(error, asyncpg.InterfaceError) and not self.connection.is_closed()
        if isinstance(error, DOWN) and not asked_wrongly:
            raise Unavailable("postgres", repr(error)) from error


class NotOurs(Exception):
    """Raised to carry what a handler failed with past `translated`; `error` is that."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


@contextlib.contextmanager
def told_apart(asked: Asked) -> Iterator[None]:
    """Raise `NotOurs` for what a handler fails with by itself: the error of a file, another server, another database.

    Ours is what a statement `asked` was answered with, and whatever comes once its connection is closed.
    """
    try:
        yield
    except (asyncpg.PostgresError, *DOWN) as error:
        if error is asked.answer or asked.connection.is_closed():
            raise
        raise NotOurs(error) from error
    finally:
        asked.answer = None  # whose traceback has frames that refer to it


def meaning_of(error: asyncpg.PostgresError) -> str | None:
    """Say what is amiss with the database; None where it is what the statement asked for."""
    code = str(error.sqlstate)
    return AMISS.get(code) or AMISS.get(code[:_CLASS])
