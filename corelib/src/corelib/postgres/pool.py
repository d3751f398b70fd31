"""The connections of one service, and the translation of PostgreSQL's errors into corelib's."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import cast

import asyncpg

from corelib.errors import Conflict, Unavailable
from corelib.postgres.connection import Connection

_CONNECT_SECONDS = 5.0
_ACQUIRE_SECONDS = 5.0
_FULL_SECONDS = 5.0

RERUN = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
)
DOWN = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
)
# Trouble of the database, never of the event or request in hand: it waits, and an operator mends it.
AMISS: dict[type[Exception], str] = {
    asyncpg.ReadOnlySQLTransactionError: "the database is read-only: a standby, or default_transaction_read_only is on",
    asyncpg.DiskFullError: "its disk is full: nothing can be written until there is room",
    asyncpg.InsufficientPrivilegeError: "the role lacks a right: grant it what `corelib outbox migrate` made",
    asyncpg.InvalidAuthorizationSpecificationError: "the role may not log in",
    asyncpg.InvalidCatalogNameError: "there is no such database",
    asyncpg.UndefinedTableError: "a table is missing: run `corelib outbox migrate` and the service's own migrations",
}


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise `Conflict` for what a rerun mends and `Unavailable` for what only time, or an operator, does."""
    try:
        yield
    except RERUN as error:
        raise Conflict(f"postgres: {error}") from error
    except DOWN as error:
        raise Unavailable("postgres", repr(error)) from error
    except tuple(AMISS) as error:
        meaning = next(text for kind, text in AMISS.items() if isinstance(error, kind))
        raise Unavailable("postgres", f"{meaning} ({error})") from error


class Pool:
    """A pool that opens lazily, so that a service starts while its database is still down.

    It keeps at least `least` connections; `settings` are PostgreSQL's own, for each of them.
    """

    def __init__(
        self, dsn: str, *, schema: str, size: int, least: int = 1, settings: Mapping[str, str] | None = None
    ) -> None:
        self._dsn = dsn
        self._size = size
        self._least = least
        self._settings = {
            "search_path": schema,
            "application_name": f"souk-{schema}",
            # A process that is paused or cut off keeps the locks of its transactions no longer than this.
            "idle_in_transaction_session_timeout": "60s",
            **(settings or {}),
        }
        self._pool: asyncpg.Pool | None = None
        self._full: tuple[float, Unavailable] | None = None

    async def open(self) -> None:
        """Connect. Raises `Unavailable`."""
        with translated():
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=self._least,
                max_size=self._size,
                timeout=_CONNECT_SECONDS,
                command_timeout=30,
                connection_class=Connection,
                server_settings=self._settings,
            )

    async def close(self) -> None:
        """Wait for the connections to come home, then close them."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), 5)
        except TimeoutError:
            pool.terminate()

    @property
    def raw(self) -> asyncpg.Pool:
        """Return asyncpg's pool. Raises `Unavailable` before `open`."""
        if self._pool is None:
            raise Unavailable("postgres", "not connected")
        return self._pool

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection for a while. Raises `Conflict` or `Unavailable`."""
        try:
            with translated():
                async with self.raw.acquire(timeout=_ACQUIRE_SECONDS) as connection:
                    yield cast("Connection", connection)
        except Unavailable as error:
            if isinstance(error.__cause__, asyncpg.DiskFullError):
                self._full = (asyncio.get_running_loop().time(), error)
            raise

    def require_room(self) -> None:
        """Raise again what a write was refused with a moment ago, for want of room: only a write can tell."""
        if self._full is not None and asyncio.get_running_loop().time() - self._full[0] < _FULL_SECONDS:
            raise self._full[1]
