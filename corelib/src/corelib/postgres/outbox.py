"""One relay's cursor over the insert-only outbox: durable snapshot ticks, a lease with fencing."""

from collections.abc import Sequence
from datetime import timedelta

import asyncpg
import orjson

from corelib.errors import LeaseLost
from corelib.message import Record
from corelib.postgres import queries
from corelib.postgres.pool import Pool
from corelib.store import Pending

_LEASE = timedelta(seconds=10)


class PostgresOutbox:
    """Reads tick by tick, in the order of ids within a tick.

    That is the order of commits per key: whoever writes a key's state waits for the row lock of the last one, so a
    later event of a key has a later id or a later tick.
    """

    def __init__(self, pool: Pool, relay: str, channels: frozenset[str]) -> None:
        self._pool = pool
        self._relay = relay
        self._channels = sorted(channels)
        self._fence: int | None = None
        self._done = ""
        self._tick: str | None = None
        self._tick_id = self._last_read = 0
        self._unacknowledged: dict[int, None] = {}

    async def acquire(self, holder: str) -> bool:
        """Take or renew the lease; False while another relay holds it."""
        async with self._pool.connection() as connection:
            await connection.execute(queries.NEW_CURSOR, self._relay)
            row = await connection.fetchrow(queries.TAKE_LEASE, self._relay, holder, _LEASE)
        if row is None:
            self._fence = None
            return False
        if row["fence"] != self._fence:
            self._fence = row["fence"]
            self._done, self._tick, self._tick_id = row["done"], row["tick"], row["tick_id"]
            self._unacknowledged = {}
        return True

    async def read(self, limit: int) -> Sequence[Pending]:
        """Return the next records after the last acknowledged one; empty when idle."""
        async with self._pool.connection() as connection:
            rows: list[asyncpg.Record] = []
            if self._tick is not None:
                rows = await self._rows(connection, limit)
            if not rows:
                if self._tick is not None:
                    self._done = self._tick
                self._tick, self._tick_id = await connection.fetchval(queries.TAKE_TICK), 0
                rows = await self._rows(connection, limit)
        self._unacknowledged = {row["id"]: None for row in rows}
        self._last_read = rows[-1]["id"] if rows else self._tick_id
        return [
            Pending(
                row["id"],
                Record(
                    row["channel"],
                    row["key"],
                    tuple((name, value) for name, value in orjson.loads(row["headers"])),
                    row["payload"],
                ),
                row["written"],
            )
            for row in rows
        ]

    async def _rows(self, connection: asyncpg.Connection, limit: int) -> list[asyncpg.Record]:
        return await connection.fetch(queries.READ_TICK, self._done, self._tick, self._tick_id, self._channels, limit)

    async def acknowledge(self, records: Sequence[Pending]) -> None:
        """Move the cursor to the last record before the first unacknowledged one. Raises `LeaseLost`."""
        for record in records:
            del self._unacknowledged[record.position]  # type: ignore[arg-type]  # ours, see read
        first_open = next(iter(self._unacknowledged), None)
        self._tick_id = self._last_read if first_open is None else first_open - 1
        async with self._pool.connection() as connection:
            moved = await connection.execute(
                queries.MOVE_CURSOR, self._relay, self._fence, self._done, self._tick, self._tick_id
            )
        if moved != "UPDATE 1":
            self._fence = None
            raise LeaseLost(f"the relay {self._relay} was taken over")

    async def lag_seconds(self) -> float:
        """Return the age of the oldest record not yet acknowledged, 0.0 when there is none."""
        async with self._pool.connection() as connection:
            return float(
                await connection.fetchval(queries.OUTBOX_LAG, self._done or "1:1:", self._tick_id, self._channels)
            )

    async def release(self) -> None:
        """Give the lease up."""
        if self._fence is None:
            return
        async with self._pool.connection() as connection:
            await connection.execute(queries.RELEASE_LEASE, self._relay, self._fence)
        self._fence = None
