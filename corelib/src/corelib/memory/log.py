"""What `corelib.outbox_log` asks of a database in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import cast

from corelib.broker import Outgoing
from corelib.headers import unpack
from corelib.memory.database import NOTHING, Cursor, Database, Stored
from corelib.memory.link import Link
from corelib.outbox_log import Page, Position, Term, Tick
from corelib.store import RelayState

_BEGINNING = Position(Tick(NOTHING, 0, 1), None, 0, 0)


class MemoryLogTable:
    """Implements `LogTable` for one relay and its channels."""

    def __init__(self, database: Database, link: Link, relay: str, channels: frozenset[str]) -> None:
        self._database = database
        self._link = link
        self._relay = relay
        self._channels = channels

    async def take(self, holder: str, lease: timedelta) -> Term | None:
        """Take or renew the lease; None while another relay holds it."""
        return await self._link.call("take lease", lambda: self._take(holder, lease))

    async def here(self) -> tuple[str, int]:
        """Return the database's name, and how far its transactions have come."""
        return await self._link.call("where", lambda: (self._database.name, self._database.snapshot()[1]))

    async def read(self, position: Position, limit: int) -> Page:
        """Return rows of the open tick behind `position.id`, or when there are none left those of the next."""
        return await self._link.call("read", lambda: self._read(position, limit))

    async def move(self, fence: int | None, position: Position) -> bool:
        """Store how far the relay has come; False if the lease is another's."""
        return await self._link.call("move cursor", lambda: self._move(fence, position))

    async def lag_seconds(self) -> float:
        """Return the age of the oldest row that the stored position does not cover."""
        return await self._link.call("lag", self._lag)

    async def holds(self, id: int, event_id: str) -> bool:  # noqa: A002 -- the row's own word
        """Tell whether the outbox has this row, with this event in it."""
        return await self._link.call("holds", lambda: self._holds(id, event_id))

    async def give_up(self, fence: int) -> None:
        """End the lease."""
        await self._link.call("give lease up", lambda: self._give_up(fence))

    def _take(self, holder: str, lease: timedelta) -> Term | None:
        now = self._database.clock.now()
        cursor = self._cursor()
        if cursor.holder not in (None, holder) and cursor.until is not None and cursor.until >= now:
            return None
        if cursor.holder != holder:
            cursor.holder, cursor.fence = holder, cursor.fence + 1
        cursor.until = now + lease
        return Term(cursor.fence, cursor.database, cursor.position)

    def _read(self, position: Position, limit: int) -> Page:
        rows = self._rows(position)
        if not rows:
            position = position.following(self._database.tick())
            rows = self._rows(position)
        return Page(position, cast("Sequence[Outgoing]", rows[:limit]), len(rows) > limit)

    def _rows(self, position: Position) -> list[Stored]:
        if position.tick is None:
            return []
        rows = self._database.between(position.done.snapshot, position.tick.snapshot)
        return [row for row in rows if row.id > position.id and row.channel in self._channels]

    def _move(self, fence: int | None, position: Position) -> bool:
        cursor = self._database.cursors[self._relay]
        if cursor.fence != fence:
            return False
        cursor.position = position
        self._database.prune()
        return True

    def state(self) -> RelayState:
        """Return how the relay stands, as the database's own answer."""
        cursor = self._cursor()
        holders = {cursor.holder: str(cursor.until)} if cursor.holder else {}
        return RelayState(holders, self._lag(), f"{cursor.position.number}/{cursor.position.id}")

    def _cursor(self) -> Cursor:
        return self._database.cursors.setdefault(self._relay, Cursor(_BEGINNING, self._database.name))

    def _lag(self) -> float:
        position = self._cursor().position
        covered = position.tick.snapshot if position.tick else position.done.snapshot
        now = self._database.tick()
        rows = [
            *self._rows(position),
            *self._rows(replace(position, tick=now, done=replace(now, snapshot=covered), id=0)),
        ]
        oldest = min((row.written for row in rows), default=None)
        return 0.0 if oldest is None else (self._database.clock.now() - oldest).total_seconds()

    def _holds(self, number: int, event_id: str) -> bool:
        rows = self._database.between(NOTHING, self._database.snapshot())
        return any(row.id == number and ("ce_id", event_id) in unpack(row.headers) for row in rows)

    def _give_up(self, fence: int) -> None:
        cursor = self._database.cursors[self._relay]
        if cursor.fence == fence:
            cursor.holder = cursor.until = None
