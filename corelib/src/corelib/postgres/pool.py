"""The connections of one service."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import cast

import asyncpg

from corelib.errors import Unavailable
from corelib.postgres.connection import Connection
from corelib.postgres.trouble import translated

_CONNECT_SECONDS = 5.0
_ACQUIRE_SECONDS = 5.0
_FULL_SECONDS = 5.0


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
        self.server: datetime | None = None
        """When the server of the newest connection was started: of one that took over, or restarted, another time."""

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
                init=self._look_at,
                server_settings=self._settings,
            )

    async def _look_at(self, connection: asyncpg.Connection) -> None:
        self.server = await connection.fetchval("SELECT pg_postmaster_start_time()")

    async def close(self) -> None:
        """Wait for the connections to come home, then close them."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(5):
                await pool.close()
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
