"""A store in memory: for a service that starts alone, for tests in milliseconds, for the simulation."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from corelib.documents import Catalog, Item, Table
from corelib.errors import Unavailable
from corelib.history import History
from corelib.memory.database import Database, Unit, copied
from corelib.memory.history import MemoryHistory, MemoryOperations
from corelib.memory.link import Direct, Link
from corelib.memory.log import MemoryLogTable
from corelib.memory.parking import MemoryParking
from corelib.memory.transaction import MemoryTransaction, committed, place_of
from corelib.operation import Operations
from corelib.outbox_log import AcknowledgedLog, OutboxLog
from corelib.store import Change, ParkingLot, RelayState
from corelib.transaction import Mark, Origin
from corelib.wake import EventWake


class Memory:
    """Implements `Store`, and reads documents as `corelib.dynamo.documents` does.

    Several may share a `database`, as replicas of a service do; it is theirs alone otherwise.
    """

    name = "memory"
    together = 32

    def __init__(
        self, *, tables: Sequence[Table] = (), database: Database | None = None, link: Link | None = None
    ) -> None:
        self.database = database or Database()
        self._link = link or Direct()
        self._catalog = Catalog("", tables)
        self._wakes: list[EventWake] = []
        self._opened: Origin | None = None
        self.parking: ParkingLot = MemoryParking(self.database, self._link)
        self.operations: Operations = MemoryOperations(self.database, self._link)

    @property
    def tables(self) -> Sequence[Table]:
        """The tables the service declared."""
        return tuple(self._catalog.tables.values())

    async def provision(self) -> None:
        """Nothing has to be created."""

    async def migrate(self, *, dry_run: bool = False) -> Sequence[Change]:  # noqa: ARG002 -- as of any store
        """Nothing has to be changed."""
        return ()

    async def open(self, origin: Origin) -> None:
        """Connect. Raises `Unavailable`."""
        self._opened = origin
        await self.check()

    async def close(self) -> None:
        """Disconnect."""
        self._opened = None

    async def check(self) -> None:
        """Raise `Unavailable` unless a transaction could commit now."""
        await self._link.call("check", lambda: self._origin)

    @asynccontextmanager
    async def transaction(
        self, *, mark: Mark | None = None, traceparent: str | None = None
    ) -> AsyncIterator[MemoryTransaction]:
        """Open a unit of work: commits at the end of the block, forgets everything on an exception."""
        unit = MemoryTransaction(
            self._origin, mark, traceparent, catalog=self._catalog, database=self.database, link=self._link
        )
        try:
            yield unit
        finally:
            unit.end()
        await unit.commit()
        if unit.outgoing:
            self._announce()

    async def recall(self, mark: Mark) -> tuple[bool, bytes | None]:
        """Return whether a mark is committed, and what was remembered with it. Raises `Forgotten`."""
        self._origin.require_remembered(mark)
        return await self._link.call("recall", lambda: self.database.recall(mark))

    def outbox(self, relay: str, channels: frozenset[str]) -> AcknowledgedLog:
        """Return a relay's reader over these channels."""
        return AcknowledgedLog(MemoryLogTable(self.database, self._link, relay, channels), relay)

    def log(self, relay: str, channels: frozenset[str]) -> OutboxLog:
        """Return the outbox as a log, for a broker that is one."""
        return OutboxLog(MemoryLogTable(self.database, self._link, relay, channels), relay)

    async def relay_state(self, relay: str, channels: frozenset[str]) -> RelayState:
        """Return how a relay stands; the sign of life is the time to which its lease was renewed."""
        table = MemoryLogTable(self.database, self._link, relay, channels)
        return await self._link.call("relay state", table.state)

    def history(self, relay: str) -> History:
        """Return what a relay has delivered and the outbox still keeps."""
        return MemoryHistory(self.database, self._link, relay)

    async def fire(self, limit: int) -> int:
        """Move due timers into the outbox in one transaction; return how many fired."""
        now, unit = self._origin.clock.now(), Unit()
        try:
            if not await self._link.call("claim timers", lambda: self.database.claim(unit, now, limit)):
                return 0
            await self._link.call("commit", lambda: self.database.commit(unit))
        except BaseException:
            self._link.drop(lambda: self.database.abort(unit))
            raise
        self._announce()
        return len(unit.fired)

    async def overdue_seconds(self) -> float:
        """Return for how long the timer has been due that is due the longest, 0.0 where none is."""
        dues = await self._link.call("timers", lambda: [each.at for each in self.database.timers.values()])
        return max(0.0, (self._origin.clock.now() - min(dues)).total_seconds()) if dues else 0.0

    def committed(self) -> EventWake:
        """Return a signal of its own for each caller: of two relays neither takes the other's."""
        wake = EventWake()
        self._wakes.append(wake)
        return wake

    @property
    def _origin(self) -> Origin:
        if self._opened is None:
            raise Unavailable(self.name, "the store is not open")
        return self._opened

    def _announce(self) -> None:
        for wake in self._wakes:
            wake.set()

    async def get(self, table: Table | str, key: Mapping[str, Any], *, consistent: bool = True) -> Item | None:  # noqa: ARG002 -- as on DynamoDB; here every read is
        """Return an item, or None."""
        place = place_of(self._catalog.find(table), key)
        return (await self._link.call("get", lambda: self.database.find(place)))[1]

    async def get_many(
        self, table: Table | str, keys: Sequence[Mapping[str, Any]], *, consistent: bool = True
    ) -> list[Item]:
        """Return the items that exist, in no order; the keys must differ."""
        found = [await self.get(table, key, consistent=consistent) for key in keys]
        return [item for item in found if item is not None]

    async def query(
        self,
        table: Table | str,
        *,
        key: Mapping[str, Any],
        index: str | None = None,
        limit: int | None = None,
        start: Item | None = None,
        forward: bool = True,
    ) -> tuple[list[Item], Item | None]:
        """Return a page of the items with these key values, and where the next page starts (None at the end)."""
        found = self._catalog.find(table)
        names = _order(found, index)
        items = await self._link.call("query", lambda: list(self.database.items(found.name)))
        items = [item for item in items if all(item.get(name) == value for name, value in key.items())]
        items = [item for item in items if all(name in item for name in names)]
        items.sort(key=lambda item: [item[name] for name in names], reverse=not forward)
        if start is not None:
            last = [start[name] for name in names]
            ahead = [([item[name] for name in names], item) for item in items]
            items = [item for place, item in ahead if (place > last if forward else place < last)]
        if limit is None or len(items) <= limit:
            return items, None
        return items[:limit], {name: items[limit - 1][name] for name in names}

    async def scan(self, table: Table | str) -> AsyncIterator[Item]:
        """Yield every item; for audits and exports, not for requests."""
        name = self._catalog.find(table).name
        for item in await self._link.call("scan", lambda: list(self.database.items(name))):
            yield item

    async def put(self, table: Table | str, item: Item) -> None:
        """Write an item outside any transaction: for what publishes nothing, such as sessions."""
        place = place_of(self._catalog.find(table), item)
        await committed(self.database, self._link, Unit(writes={place: copied(item)}))

    async def delete(self, table: Table | str, key: Mapping[str, Any]) -> None:
        """Remove an item outside any transaction; a missing one is no error."""
        place = place_of(self._catalog.find(table), key)
        await committed(self.database, self._link, Unit(writes={place: None}))


def _order(table: Table, index: str | None) -> list[str]:
    """Return the attributes that a query's answer is sorted by."""
    if index is None:
        return list(table.keys)
    chosen = next(each for each in table.indexes if each.name == index)
    return [name for name in (chosen.key, chosen.sort, *table.keys) if name]
