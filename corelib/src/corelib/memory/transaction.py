"""A unit of work in memory: the documents of `DynamoTransaction`, and reads that are checked at commit."""

from collections.abc import Mapping
from typing import Any

from corelib.documents import Catalog, DocumentTransaction, Item, Table
from corelib.memory.database import Condition, Database, Place, Unit, copied
from corelib.memory.link import Link
from corelib.transaction import Mark, Origin


class MemoryTransaction(DocumentTransaction):
    """Buffers writes; nothing reaches the database before the end of the block."""

    def __init__(
        self,
        origin: Origin,
        mark: Mark | None,
        traceparent: str | None,
        *,
        catalog: Catalog,
        database: Database,
        link: Link,
    ) -> None:
        super().__init__(origin, mark, traceparent)
        self._catalog = catalog
        self._database = database
        self._link = link
        self._writes: dict[Place, Item | None] = {}
        self._conditions: dict[Place, Condition] = {}
        self._read: dict[Place, int] = {}
        self._earlier: dict[Place, Item | None] = {}

    async def get(self, table: Table | str, key: Mapping[str, Any]) -> Item | None:
        """Return an item as this transaction sees it; `Conflict` at commit if another changes it meanwhile."""
        place = place_of(self._catalog.find(table), key)
        if place in self._writes:
            item = self._writes[place]
            return None if item is None else copied(item)
        edition, found = await self._link.call("get", lambda: self._database.find(place))
        self._read[place] = edition
        return found

    def put(self, table: Table | str, item: Item, *, new: bool = False, version: int | None = None) -> None:
        """Write an item: `new` demands that there is none, `version` that the stored one has it (else `Conflict`)."""
        place = place_of(self._catalog.find(table), item)
        self._writes[place] = copied(item)
        self._demand(place, Condition(new, version))

    def delete(self, table: Table | str, key: Mapping[str, Any], *, version: int | None = None) -> None:
        """Remove an item, of this version if one is given (else `Conflict`)."""
        place = place_of(self._catalog.find(table), key)
        self._writes[place] = None
        self._demand(place, Condition(version=version))

    def check(self, table: Table | str, key: Mapping[str, Any], version: int) -> None:
        """Demand that an item has this version at commit (else `Conflict`), without writing it."""
        self._demand(place_of(self._catalog.find(table), key), Condition(version=version))

    def turn_to(self, mark: Mark, traceparent: str | None) -> None:
        """Go on with another event: to it, what was written so far is what is there."""
        super().turn_to(mark, traceparent)
        self._earlier = dict(self._writes)

    async def commit(self) -> None:
        """Write everything. Raises `Duplicate`, `Conflict` or `Unavailable`; called by the store only."""
        marks = [self.mark] if self.mark else self.handled
        unit = Unit(
            self.outgoing,
            marks,
            max(map(self.origin.forgets, marks), default=None),
            self.remembered,
            self.scheduled,
            self.cancelled,
            self._writes,
            self._conditions,
            self._read,
        )
        await committed(self._database, self._link, unit)

    def _demand(self, place: Place, condition: Condition) -> None:
        """A condition is about the item as it was before the transaction, or the event: the first one holds."""
        if place in self._earlier:
            condition.require(place, self._earlier[place])
        elif condition != Condition():
            self._conditions.setdefault(place, condition)


async def committed(database: Database, link: Link, unit: Unit) -> None:
    """Write a unit and commit it: two requests, between which others commit."""
    try:
        await link.call("write", lambda: database.write(unit))
        await link.call("commit", lambda: database.commit(unit))
    except BaseException:
        link.drop(lambda: database.abort(unit))
        raise


def place_of(table: Table, item: Mapping[str, Any]) -> Place:
    """Return where an item lies."""
    return (table.name, tuple(str(item[name]) for name in table.keys))
