"""An outbox as a log: rows in order of commit, a durable position, one relay at a time.

Rows are read tick by tick (PgQ's rule) and in the order of ids within a tick. That is the order of commits per key:
whoever writes a key's state waits for the row lock of the last one, so a later event of a key has a later id or a
later tick. What a database is asked for stands in `LogTable`; everything else is here.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import NamedTuple, Protocol, Self

import orjson
from pydantic import TypeAdapter

from corelib.broker import Outgoing
from corelib.errors import EraChanged, LeaseLost
from corelib.headers import unpack
from corelib.message import Record
from corelib.store import Chunk, Pending

Snapshot = tuple[int, int, tuple[int, ...]]
"""PostgreSQL's pg_snapshot: xmin, xmax, and the transactions under way between them."""

_CHANGED = (
    "the outbox of relay {relay} belongs to another time of this database ({reason}): what is delivered cannot be told"
    " from what is not. Run `corelib outbox new-era` to go on: it sends again what the cursor does not cover"
)
_LEASE = timedelta(seconds=10)
_KEEP_UP_SECONDS = 5.0
_MOVE_SECONDS = 1.0


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

    def receipt(self, database: str, event_id: str) -> bytes:
        """Return it as bytes that another relay can go on from; the event is that of its last row."""
        return orjson.dumps({"database": database, "position": asdict(self), "event": event_id})


@dataclass(frozen=True)
class Term:
    """A lease: the fence counts the holders; `position` is where the last one came to, in `database`."""

    fence: int
    database: str
    position: Position


class Row(NamedTuple):
    """A row of the outbox; a driver's row with these columns does as well, and is read by index."""

    channel: str
    key: str
    hash: int
    headers: bytes
    payload: bytes
    id: int


class Page(NamedTuple):
    """Rows of the tick that is open in `position`, in order of ids; `more` of it may be behind them."""

    position: Position
    rows: Sequence[Outgoing]
    more: bool


class LogTable(Protocol):
    """What the log asks of a database, for one relay and its channels. Every call may raise `Unavailable`."""

    async def take(self, holder: str, lease: timedelta) -> Term | None:
        """Take or renew the lease; None while another relay holds it."""
        ...

    async def here(self) -> tuple[str, int]:
        """Return the database's identity, and a number that no transaction up to now has reached; begins a term."""
        ...

    async def read(self, position: Position, limit: int) -> Page:
        """Return rows that the open tick sees and `done` does not, behind `position.id`, in order of ids.

        When there are none left, open the next tick at this moment, and return it with its first rows. Fewer than
        `limit` where they are large: what is read must have room in memory. Raises `LeaseLost` if the database may have
        lost what it had when the term began.
        """
        ...

    async def move(self, fence: int | None, position: Position) -> bool:
        """Store how far the relay has come; False if the lease is another's, or where `read` would raise."""
        ...

    async def lag_seconds(self) -> float:
        """Return the age of the oldest row that the stored position does not cover, 0.0 when there is none."""
        ...

    async def holds(self, id: int, event_id: str) -> bool:  # noqa: A002 -- the row's own word
        """Tell whether the outbox has this row, with this event in it."""
        ...

    async def give_up(self, fence: int) -> None:
        """End the lease."""
        ...


_POSITION = TypeAdapter(Position)


class OutboxLog:
    """One relay's view on the outbox. Implements `LogSource`; `rewind` brings `read` back to what is committed."""

    def __init__(self, table: LogTable, relay: str) -> None:
        self._table = table
        self._relay = relay
        self._fence: int | None = None
        self._database = ""
        self._committed: Position | None = None
        self._read: Position | None = None
        self._taken: Position | None = None
        self._behind = False
        self._moved = -_KEEP_UP_SECONDS

    async def acquire(self, holder: str) -> bool:
        """Take or renew the lease; False if another relay holds it, or did since it was last renewed.

        Raises `EraChanged` in a restored database.
        """
        term = await self._table.take(holder, _LEASE)
        if term is None:
            self._fence = None
            return False
        if term.fence == self._fence:
            return True
        if self._fence is not None:
            # It ran out, was another's, and is ours again: what was read under it must not be sent now.
            self._fence = None
            return False
        database, now = await self._table.here()
        _require_same_era(self._relay, term, database, now)
        self._fence, self._database = term.fence, database
        self._committed = self._read = self._taken = term.position
        self._behind = False
        return True

    async def recover(self, receipt: bytes) -> None:
        """Go on behind what a broker has for certain, if that is further than the database knows.

        Raises `EraChanged` when the database has lost what was sent.
        """
        given = orjson.loads(receipt)
        known = _POSITION.validate_python(given["position"])
        if given["database"] != self._database or not known.ahead_of(self._position):
            return
        if not await self._table.holds(known.id, given["event"]):
            raise EraChanged(_CHANGED.format(relay=self._relay, reason="it was set back to before what was sent last"))
        await self.commit(known)
        self.rewind()

    async def read(self, limit: int) -> Chunk | None:
        """Return the next rows behind the last ones read; None when there are none."""
        position, rows, more = await self._table.read(self._read or self._position, limit)
        if rows:
            position = replace(position, id=rows[-1][5])  # type: ignore[misc]  # see Row
        self._read = position
        if not rows:
            await self._keep_up(position)
            return None
        self._taken = position
        event_id = dict(unpack(rows[-1][3])).get("ce_id", "")
        return Chunk(rows, position, position.receipt(self._database, event_id), more=more)

    async def _keep_up(self, position: Position) -> None:
        """Idle, move the cursor now and then: what it does not cover keeps the ring from turning."""
        # A read ahead finds nothing while rows taken before it are still on their way: they are not delivered.
        delivered = self._taken is None or not self._taken.ahead_of(self._position)
        if delivered and self._since_moved() >= (_MOVE_SECONDS if self._behind else _KEEP_UP_SECONDS):
            await self.commit(position)

    async def commit(self, position: Position) -> None:
        """Record that everything up to a position is delivered. Raises `LeaseLost` if another relay took over."""
        if not await self._table.move(self._fence, position):
            self._fence = None
            raise LeaseLost(f"the relay {self._relay} was taken over")
        self._committed, self._behind = position, False
        self._moved = asyncio.get_running_loop().time()

    async def passed(self, position: Position) -> None:
        """Record the same where the broker keeps the position too: the database is told of it once a second.

        A cursor that moved with each chunk would leave a row version each time, and while a long transaction is open in
        the same database none of them can go: each move would have to step over all before it.
        """
        if self._since_moved() >= _MOVE_SECONDS:
            await self.commit(position)
        else:
            self._committed, self._behind = position, True

    def _since_moved(self) -> float:
        return asyncio.get_running_loop().time() - self._moved

    def rewind(self) -> None:
        """Read again from the last position committed."""
        self._read = self._taken = self._position

    async def lag_seconds(self) -> float:
        """Return the age of the oldest row not yet delivered, 0.0 when there is none."""
        if self._behind:
            await self.commit(self._position)
        return await self._table.lag_seconds()

    async def release(self) -> None:
        """Give the lease up, so that a standby takes over at once."""
        # Forgotten first: if the database cannot be told, the same lease is taken again, and read from its position.
        fence, self._fence = self._fence, None
        if fence is not None:
            if self._behind:
                await self._table.move(fence, self._position)
            await self._table.give_up(fence)

    @property
    def _position(self) -> Position:
        if self._committed is None:
            raise LeaseLost(f"the relay {self._relay} has no lease")
        return self._committed


class AcknowledgedLog(OutboxLog):
    """The log for relays whose broker acknowledges each record by itself, as SQS does. Implements `OutboxReader`.

    The position moves to the last record before the first unacknowledged one.
    """

    def __init__(self, table: LogTable, relay: str) -> None:
        super().__init__(table, relay)
        self._chunk: Chunk | None = None
        self._open: dict[int, None] = {}

    async def read(self, limit: int) -> Sequence[Pending]:  # type: ignore[override]  # records instead of rows
        """Return the next records after the last acknowledged one; empty when idle."""
        self.rewind()
        self._chunk = await super().read(limit)
        if self._chunk is None:
            self._skip_empty_ticks()
            return []
        rows: Sequence[Row] = self._chunk.rows  # type: ignore[assignment]  # see Row
        self._open = dict.fromkeys(row[5] for row in rows)
        return [Pending(row[5], Record(row[0], row[1], unpack(row[3]), row[4])) for row in rows]

    async def acknowledge(self, records: Sequence[Pending]) -> None:
        """Record that these reached their channel. Raises `LeaseLost` if another relay has taken over."""
        if self._chunk is None:
            return
        for record in records:
            del self._open[record.position]  # type: ignore[arg-type]  # ours, see read
        first_open = next(iter(self._open), None)
        after: Position = self._chunk.after
        await self.commit(after if first_open is None else replace(after, id=first_open - 1))

    def _skip_empty_ticks(self) -> None:
        """An empty tick is delivered as it is; in memory is enough, since reading it again costs nothing."""
        self._committed = self._read


def _require_same_era(relay: str, term: Term, database: str, now: int) -> None:
    """A restored database has another identifier, or transaction numbers that went back: positions mean nothing."""
    last = term.position.tick or term.position.done
    if term.database != database or last.snapshot[1] > now:
        moved = term.database != database
        reason = "it was restored into another cluster" if moved else "its transaction numbers went back"
        raise EraChanged(_CHANGED.format(relay=relay, reason=reason))
