"""The outbox of a database as a log: rows in order of commit, a durable position, one relay at a time.

Rows are read tick by tick (PgQ's rule) and in the order of ids within a tick. That is the order of commits per key:
whoever writes a key's state waits for the row lock of the last one, so a later event of a key has a later id or a
later tick.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Self, cast

import asyncpg
import orjson
from pydantic import TypeAdapter

from corelib.broker import Outgoing
from corelib.errors import EraChanged, LeaseLost
from corelib.postgres import queries
from corelib.postgres.pool import Pool

Snapshot = tuple[int, int, tuple[int, ...]]
"""PostgreSQL's pg_snapshot: xmin, xmax, and the transactions under way between them."""

_LEASE = timedelta(seconds=10)
_KEEP_UP_SECONDS = 5.0


@dataclass(frozen=True)
class Tick:
    """A moment of the database: transactions numbered `next` or more began after it, and gave their rows higher ids.

    `floor` is the last id given before it.
    """

    snapshot: Snapshot
    floor: int
    next: int


@dataclass(frozen=True)
class Position:
    """How far a relay has come: everything that `done` sees, and of the open tick the rows up to `id`."""

    done: Tick
    tick: Tick | None
    number: int
    id: int

    def ahead_of(self, other: Self) -> bool:
        """Tell whether more was delivered here."""
        return (self.number, self.id) > (other.number, other.id)

    def following(self, tick: Tick) -> Self:
        """Return the start of the next tick; this one is delivered."""
        return replace(self, done=self.tick or self.done, tick=tick, number=self.number + 1, id=0)

    def receipt(self, database: str) -> bytes:
        """Return it as bytes that another relay can go on from."""
        return orjson.dumps({"database": database, "position": asdict(self)})


@dataclass(frozen=True)
class Chunk:
    """Rows, and the position once they are delivered."""

    rows: Sequence[Outgoing]
    after: Position
    receipt: bytes


_POSITION = TypeAdapter(Position)


class PostgresLog:
    """One relay's view on the outbox. `read` runs ahead of `commit`; `rewind` brings it back."""

    def __init__(self, pool: Pool, relay: str, channels: frozenset[str]) -> None:
        self._pool = pool
        self._relay = relay
        self._channels = sorted(channels)
        self._fence: int | None = None
        self._database = ""
        self._committed: Position | None = None
        self._read: Position | None = None
        self._keep_up_at = 0.0

    async def acquire(self, holder: str) -> bool:
        """Take or renew the lease; False while another relay holds it. Raises `EraChanged` in a restored database."""
        async with self._pool.connection() as connection:
            await connection.execute(queries.NEW_CURSOR, self._relay)
            row = await connection.fetchrow(queries.TAKE_LEASE, self._relay, holder, _LEASE)
            if row is None:
                self._fence = None
                return False
            if row["fence"] == self._fence:
                return True
            (where,) = await connection.fetch(queries.WHERE_ARE_WE)
        position = _position(row)
        _require_same_era(self._relay, row["database"], where["database"], position, int(where["now"]))
        self._fence, self._database = row["fence"], where["database"]
        self._committed = self._read = position
        return True

    async def recover(self, receipt: bytes) -> None:
        """Go on behind what a broker has for certain, if that is further than the database knows."""
        given = orjson.loads(receipt)
        known = _POSITION.validate_python(given["position"])
        if given["database"] == self._database and known.ahead_of(self._position):
            await self.commit(known)
            self.rewind()

    async def read(self, limit: int) -> Chunk | None:
        """Return the next rows behind the last ones read; None when there are none."""
        position = self._reading
        async with self._pool.connection() as connection:
            rows: list[asyncpg.Record] = []
            if position.tick is not None:
                rows = await self._rows(connection, position, limit)
            if not rows:
                position = position.following(await _tick(connection))
                rows = await self._rows(connection, position, limit)
        if rows:
            position = replace(position, id=rows[-1]["id"])
        self._read = position
        if not rows:
            await self._keep_up(position)
        if not rows:
            return None
        return Chunk(cast("Sequence[Outgoing]", rows), position, position.receipt(self._database))

    async def _keep_up(self, position: Position) -> None:
        """Idle, move the cursor now and then: what it does not cover keeps the ring from turning."""
        if time.monotonic() >= self._keep_up_at:
            await self.commit(position)

    async def commit(self, position: Position) -> None:
        """Record that everything up to a position is delivered. Raises `LeaseLost` if another relay took over."""
        async with self._pool.connection() as connection:
            moved = await connection.execute(
                queries.MOVE_CURSOR,
                self._relay,
                self._fence,
                *_columns(position.done),
                *(_columns(position.tick) if position.tick else (None, None, None)),
                position.number,
                position.id,
            )
        if moved != "UPDATE 1":
            self._fence = None
            raise LeaseLost(f"the relay {self._relay} was taken over")
        self._committed = position
        self._keep_up_at = time.monotonic() + _KEEP_UP_SECONDS

    def rewind(self) -> None:
        """Read again from the last position committed."""
        self._read = self._position

    async def lag_seconds(self) -> float:
        """Return the age of the oldest row not yet delivered, 0.0 when there is none."""
        async with self._pool.connection() as connection:
            return float(await connection.fetchval(queries.OUTBOX_LAG, self._relay, self._channels))

    async def release(self) -> None:
        """Give the lease up, so that a standby takes over at once."""
        if self._fence is None:
            return
        async with self._pool.connection() as connection:
            await connection.execute(queries.RELEASE_LEASE, self._relay, self._fence)
        self._fence = None

    @property
    def _position(self) -> Position:
        if self._committed is None:
            raise LeaseLost(f"the relay {self._relay} has no lease")
        return self._committed

    @property
    def _reading(self) -> Position:
        return self._read or self._position

    async def _rows(self, connection: asyncpg.Connection, position: Position, limit: int) -> list[asyncpg.Record]:
        done = position.done
        _, xmax, under_way = done.snapshot
        return await connection.fetch(
            queries.READ_TICK if under_way or xmax < done.next else queries.READ_YOUNG,
            done.snapshot,
            position.tick and position.tick.snapshot,
            position.id,
            done.floor,
            self._channels,
            limit,
            str(done.next),
        )


async def _tick(connection: asyncpg.Connection) -> Tick:
    # Two statements: the floor must be older than the snapshot it belongs to.
    floor = await connection.fetchval(queries.TAKE_FLOOR)
    (row,) = await connection.fetch(queries.TAKE_TICK)
    return Tick(row["snapshot"], floor, int(row["next"]))


def _position(row: asyncpg.Record) -> Position:
    done = Tick(row["done"], row["done_floor"], row["done_next"])
    tick = None if row["tick"] is None else Tick(row["tick"], row["tick_floor"], row["tick_next"])
    return Position(done, tick, row["tick_number"], row["tick_id"])


def _columns(tick: Tick) -> tuple[Snapshot, int, int]:
    return tick.snapshot, tick.floor, tick.next


def _require_same_era(relay: str, database: str, here: str, position: Position, now: int) -> None:
    """A restored database has another identifier, or transaction numbers that went back: positions mean nothing."""
    last = position.tick or position.done
    if database != here or last.snapshot[1] > now:
        reason = "it was restored into another cluster" if database != here else "its transaction numbers went back"
        raise EraChanged(
            f"the outbox of relay {relay} belongs to another time of this database ({reason}): what is delivered"
            " cannot be told from what is not. Run `corelib outbox new-era` to go on: it sends again what the cursor"
            " does not cover"
        )
