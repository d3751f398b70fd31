"""What `corelib.outbox_log` asks of PostgreSQL: leases, positions, and the rows between two snapshots."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import cast

import asyncpg

from corelib.broker import Outgoing
from corelib.errors import LeaseLost
from corelib.outbox_log import Page, Position, Snapshot, Term, Tick
from corelib.postgres import log_queries
from corelib.postgres.pool import Pool

_ID = 5


class PostgresLogTable:
    """Implements `LogTable` for one relay, which its transport names, and the channels that it knows.

    A term ends with its server. One that took over may lack what was committed last, and give the same numbers to other
    transactions: a position from before would pass them over, and is neither read from nor stored.
    """

    def __init__(self, pool: Pool, relay: str, channels: frozenset[str]) -> None:
        self._pool = pool
        self._relay = relay
        self._channels = sorted(channels)
        self._finished: tuple[Tick | None, int] | None = None  # a tick, and its last row
        self._taken_of: datetime | None = None
        self._server: datetime | None = None

    async def take(self, holder: str, lease: timedelta) -> Term | None:
        """Take or renew the lease; None while another relay holds it."""
        async with self._pool.connection() as connection:
            await connection.execute(log_queries.NEW_CURSOR, self._relay)
            self._taken_of = self._pool.server
            row = await connection.fetchrow(log_queries.TAKE_LEASE, self._relay, holder, lease)
        return None if row is None else Term(row["fence"], row["database"], _position(row))

    async def here(self) -> tuple[str, int]:
        """Return the cluster's identity, and how far its transactions have come. A term begins with this."""
        self._server, self._finished = self._taken_of, None
        async with self._pool.connection() as connection:
            (where,) = await connection.fetch(log_queries.WHERE_ARE_WE)
        return where["database"], int(where["now"])

    async def read(self, position: Position, limit: int) -> Page:
        """Return rows of the open tick behind `position.id`, or when there are none left those of the next."""
        async with self._pool.connection() as connection:
            if self._pool.server != self._server:
                raise LeaseLost(f"the database of relay {self._relay} was restarted, or another server took its place")
            known_empty = position.tick is None or (position.tick, position.id) == self._finished
            if not known_empty and (page := await self._page(connection, position, limit)).rows:
                return page
            return await self._tick(connection, position, limit)

    async def move(self, fence: int | None, position: Position) -> bool:
        """Store how far the relay has come; False if the lease is another's."""
        async with self._pool.connection() as connection:
            if self._pool.server != self._server:
                return False
            moved: str = await connection.execute(
                log_queries.MOVE_CURSOR,
                self._relay,
                fence,
                *_columns(position.done),
                *(_columns(position.tick) if position.tick else (None, None, None)),
                position.number,
                position.id,
            )
        return moved == "UPDATE 1"

    async def lag_seconds(self) -> float:
        """Return the age of the oldest row that the stored position does not cover."""
        async with self._pool.connection() as connection:
            return float(await connection.fetchval(log_queries.OUTBOX_LAG, self._relay, self._channels))

    async def holds(self, id: int, event_id: str) -> bool:  # noqa: A002 -- the row's own word
        """Tell whether the outbox has this row, with this event in it."""
        async with self._pool.connection() as connection:
            return bool(await connection.fetchval(log_queries.HOLDS_ROW, id, event_id.encode()))

    async def give_up(self, fence: int) -> None:
        """End the lease."""
        async with self._pool.connection() as connection:
            await connection.execute(log_queries.RELEASE_LEASE, self._relay, fence)

    async def _page(self, connection: asyncpg.Connection, position: Position, limit: int) -> Page:
        tick = position.tick and position.tick.snapshot
        since = self._since(position.done, max(position.id, position.done.floor))
        first, *rows = await connection.fetch(log_queries.READ_PAGE, *since, limit, tick, position.id)
        return self._in_order(position, rows, first["fitting"])

    async def _tick(self, connection: asyncpg.Connection, last: Position, limit: int) -> Page:
        done = last.tick or last.done
        first, *rows = await connection.fetch(log_queries.READ_TICK, *self._since(done, done.floor), limit)
        position = last.following(Tick(first["snapshot"], first["floor"], int(first["next"])))
        return self._in_order(position, rows, first["fitting"])

    def _since(self, done: Tick, after: int) -> tuple[object, ...]:
        _, xmax, under_way = done.snapshot
        return after, str(done.next), self._channels, [str(xid) for xid in under_way], str(xmax), self._relay

    def _in_order(self, position: Position, rows: list[asyncpg.Record], limit: int) -> Page:
        """Return so many of the rows, which are the first young and the first late ones."""
        _, xmax, under_way = position.done.snapshot
        if under_way or xmax < position.done.next:
            rows = sorted(rows, key=itemgetter(_ID))[:limit]
        more = len(rows) == limit
        if not more:
            # What a tick sees is settled: nothing can be behind its last row.
            self._finished = (position.tick, rows[-1][_ID] if rows else position.id)
        return Page(position, cast("Sequence[Outgoing]", rows), more)


def _position(row: asyncpg.Record) -> Position:
    done = Tick(row["done"], row["done_floor"], row["done_next"])
    tick = None if row["tick"] is None else Tick(row["tick"], row["tick_floor"], row["tick_next"])
    return Position(done, tick, row["tick_number"], row["tick_id"])


def _columns(tick: Tick) -> tuple[Snapshot, int, int]:
    return tick.snapshot, tick.floor, tick.next
