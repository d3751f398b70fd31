"""The server half of the store in memory: documents, outbox, marks, timers and leases under snapshots.

It models what matters of PostgreSQL: a transaction gets its number and the ids of its rows when it writes, so that ids
commit out of order; a snapshot tells what is visible; whoever commits first wins, and the other runs again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import NamedTuple
from uuid import UUID

from aiokafka.partitioner import murmur2

from corelib.clock import Clock, SystemClock
from corelib.documents import Item
from corelib.dynamo.items import pack, unpack
from corelib.errors import Collision, Conflict, Duplicate
from corelib.headers import pack as pack_headers
from corelib.message import Record
from corelib.operation import Operation
from corelib.outbox_log import Position, Snapshot, Tick
from corelib.store import Parked
from corelib.transaction import Mark, Scheduled, Timer

Place = tuple[str, tuple[str, ...]]
"""A table and the values of a key."""
_KEEP = timedelta(hours=1)
NOTHING: Snapshot = (1, 1, ())
"""A snapshot that sees no transaction."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold of a place at commit: nothing is there (`new`), or an item of this `version`."""

    new: bool = False
    version: int | None = None

    def require(self, place: "Place", item: Item | None) -> None:
        """Raise `Collision` or `Conflict` unless the item at a place meets it."""
        if self.new:
            if item is not None:
                raise Collision(f"memory: {place} is there already")
        elif self.version is not None and (item is None or item.get("version") != self.version):
            raise Conflict(f"memory: {place} is not as it was")


@dataclass(eq=False)
class Unit:
    """All of one transaction. `read` has the edition of each item that it relied on."""

    records: Sequence[Record] = ()
    marks: Sequence[Mark] = ()
    forgets: datetime | None = None
    remembered: bytes | None = None
    scheduled: Sequence[Scheduled] = ()
    cancelled: Sequence[Timer] = ()
    writes: Mapping[Place, Item | None] = field(default_factory=dict)
    conditions: Mapping[Place, Condition] = field(default_factory=dict)
    read: Mapping[Place, int] = field(default_factory=dict)
    fired: Sequence[UUID] = ()
    xid: int | None = None
    over: bool = False


class Stored(NamedTuple):
    """A row of the outbox, as `corelib.outbox_log.Row`, and when it was written."""

    channel: str
    key: str
    hash: int
    headers: bytes
    payload: bytes
    id: int
    written: datetime


@dataclass
class Cursor:
    """A relay's position and lease."""

    position: Position
    database: str
    holder: str | None = None
    fence: int = 0
    until: datetime | None = None


class Database:
    """What outlives a client. `observers` are told of every unit that has just committed."""

    def __init__(self, *, clock: Clock | None = None, name: str = "memory", keep: timedelta = _KEEP) -> None:
        self.clock = clock or SystemClock()
        self.name = name
        self.tables: dict[str, dict[tuple[str, ...], tuple[int, Item]]] = {}
        self.marks: dict[tuple[str, str], tuple[datetime | None, bytes | None]] = {}
        self.timers: dict[UUID, Scheduled] = {}
        self.parked: list[Parked] = []
        self.claims: dict[tuple[str, str], tuple[int, datetime]] = {}
        self.cursors: dict[str, Cursor] = {}
        self.operations: dict[UUID, Operation] = {}
        self.observers: list[Callable[[Unit], None]] = []
        self.numbers = count(1)
        self._keep = keep
        self._outbox: dict[int, list[Stored]] = {}
        self._claimed: set[UUID] = set()
        self._active: dict[int, Unit] = {}
        self._next_xid = 3  # as in PostgreSQL, where the first three mean something else
        self._completed = 2
        self._last_id = 0

    def write(self, unit: Unit) -> None:
        """Begin to commit: from here on the transaction has its number, and its rows have their ids."""
        if unit.over:
            return
        unit.xid = self._next_xid
        self._next_xid += 1
        self._active[unit.xid] = unit
        self._claimed.update(unit.fired)
        now = self.clock.now()
        if unit.records:
            self._outbox[unit.xid] = [self._row(record, now) for record in unit.records]

    def commit(self, unit: Unit) -> None:
        """Make all of it visible at once. Raises `Duplicate` or `Conflict`, and then nothing of it remains."""
        if unit.over:
            raise Conflict("memory: the transaction was aborted")
        try:
            self._require(unit)
        except (Duplicate, Conflict):
            self.abort(unit)
            raise
        self._apply(unit)
        self._end(unit)
        for observer in self.observers:
            observer(unit)

    def abort(self, unit: Unit) -> None:
        """Forget all of it, unless it has committed."""
        if not unit.over and unit.xid is not None:
            self._outbox.pop(unit.xid, None)
            self._end(unit)
        unit.over = True

    def claim(self, unit: Unit, now: datetime, limit: int) -> bool:
        """Begin to fire timers that are due, oldest first, save those that another transaction is firing."""
        due = [each for each in self.timers.values() if each.at <= now and each.timer.id not in self._claimed]
        if not due or unit.over:
            return False
        due = sorted(due, key=lambda each: each.at)[:limit]
        unit.records = [record for each in due for record in each.records]
        unit.fired = [each.timer.id for each in due]
        self.write(unit)
        return True

    def find(self, place: Place) -> tuple[int, Item | None]:
        """Return an item as it was last committed, with its edition."""
        table, key = place
        edition, item = self.tables.get(table, {}).get(key, (0, None))
        return edition, None if item is None else copied(item)

    def items(self, table: str) -> Iterator[Item]:
        """Yield a table's items as they were last committed."""
        for _, item in list(self.tables.get(table, {}).values()):
            yield copied(item)

    def recall(self, mark: Mark) -> tuple[bool, bytes | None]:
        """Return whether a mark is committed, and what was remembered with it."""
        found = self.marks.get((mark.scope, mark.id))
        return (found is not None, found[1] if found else None)

    def tick(self) -> Tick:
        """Return this moment: what is visible, the last id given, the number of the next transaction."""
        return Tick(self.snapshot(), self._last_id, self._next_xid)

    def snapshot(self) -> Snapshot:
        """Return what is visible now, as PostgreSQL's pg_current_snapshot does."""
        after = self._completed + 1
        under_way = tuple(sorted(xid for xid in self._active if xid < after))
        return (under_way[0] if under_way else after, after, under_way)

    def between(self, done: Snapshot, tick: Snapshot) -> list[Stored]:
        """Return the rows that `tick` sees and `done` does not, in order of ids."""
        written = (xid for xid in range(done[0], tick[1]) if xid in self._outbox)
        xids = [xid for xid in written if visible(xid, tick) and not visible(xid, done)]
        return sorted((row for xid in xids for row in self._outbox[xid]), key=lambda row: row.id)

    def delivered(self, relay: str) -> list[Stored]:
        """Return the rows that a relay's cursor covers, in order of ids."""
        cursor = self.cursors.get(relay)
        if cursor is None:
            return []
        position = cursor.position
        rows = self.between(NOTHING, position.done.snapshot)
        if position.tick is not None:
            opened = self.between(position.done.snapshot, position.tick.snapshot)
            rows += [row for row in opened if row.id <= position.id]
        return sorted(rows, key=lambda row: row.id)

    def forget(self) -> None:
        """Forget marks whose time is over: they lie about in the order in which that is."""
        now = datetime.now(UTC)  # as `Origin.forgets` does
        for name, (until, _) in list(self.marks.items()):
            if until is None or until > now:
                return
            del self.marks[name]

    def prune(self) -> None:
        """Forget rows that every relay is past, once they are too old to be replayed."""
        self.forget()
        oldest = self.clock.now() - self._keep
        for xid in list(self._outbox):
            if self._outbox[xid][0].written >= oldest:
                return
            if all(visible(xid, cursor.position.done.snapshot) for cursor in self.cursors.values()):
                del self._outbox[xid]

    def _row(self, record: Record, now: datetime) -> Stored:
        self._last_id += 1
        partition_hash = murmur2(record.key.encode()) & 0x7FFF_FFFF
        headers = pack_headers(record.headers)
        return Stored(record.channel, record.key, partition_hash, headers, record.payload, self._last_id, now)

    def _require(self, unit: Unit) -> None:
        before = dict[tuple[str, str], tuple[datetime | None, bytes | None]]()
        for mark in unit.marks:
            name = (mark.scope, mark.id)
            if (known := self.marks.get(name) or before.get(name)) is not None:
                raise Duplicate(mark.scope, mark.id, known[1])
            before[name] = (None, None)
        for place, edition in unit.read.items():
            if self.find(place)[0] != edition:
                raise Conflict(f"memory: another transaction changed {place}")
        for place, condition in unit.conditions.items():
            condition.require(place, self.find(place)[1])
        if any(timer.id in self._claimed for timer in unit.cancelled):
            raise Conflict("memory: the timer is firing")

    def _apply(self, unit: Unit) -> None:
        for (table, key), item in unit.writes.items():
            if item is None:
                self.tables.get(table, {}).pop(key, None)
            else:
                self.tables.setdefault(table, {})[key] = (next(self.numbers), copied(item))
        for mark in unit.marks:
            self.marks[mark.scope, mark.id] = (unit.forgets, unit.remembered)
        for scheduled in unit.scheduled:
            self.timers[scheduled.timer.id] = scheduled
        for timer_id in (*(timer.id for timer in unit.cancelled), *unit.fired):
            self.timers.pop(timer_id, None)

    def _end(self, unit: Unit) -> None:
        unit.over = True
        if unit.xid is not None:
            self._active.pop(unit.xid, None)
            self._completed = max(self._completed, unit.xid)
        self._claimed.difference_update(unit.fired)


def visible(xid: int, snapshot: Snapshot) -> bool:
    """Tell whether a snapshot sees a transaction that committed (pg_visible_in_snapshot)."""
    oldest, after, under_way = snapshot
    return xid < oldest or (xid < after and xid not in under_way)


def copied(item: Item) -> Item:
    """Return an item of one's own. Raises `TypeError` for what DynamoDB could not hold either, such as a float."""
    return unpack(pack(item))
