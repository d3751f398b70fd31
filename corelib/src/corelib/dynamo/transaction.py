"""A unit of work on DynamoDB: buffered writes, events, timers and mark become one TransactWriteItems."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from corelib.documents import Catalog, DocumentTransaction, Item, Table
from corelib.dynamo.commit import Committer, Unit
from corelib.dynamo.documents import Documents
from corelib.dynamo.items import Attribute, attribute, pack
from corelib.dynamo.timers import TimerItems
from corelib.transaction import Mark, Origin

_VERSION = "version"
# Long enough for a saga's next step; an item that is deleted and made anew may have its old version again.
_RECENT_SECONDS, _MOST_RECENT = 30.0, 4_000

Slot = tuple[str, ...]  # (table, key values)


@dataclass(frozen=True)
class _Write:
    """One operation on one item; its condition is about the item as it was before the transaction."""

    kind: str
    target: Attribute
    condition: Attribute
    item: Item | None = None


class Recent:
    """The versioned items that this process wrote a moment ago: what a transaction reads of them, its commit proves."""

    def __init__(self) -> None:
        self._items: OrderedDict[Slot, tuple[float, Item]] = OrderedDict()

    def get(self, slot: Slot) -> Item | None:
        """Return an item, None where it is not remembered."""
        until, item = self._items.get(slot, (0.0, None))
        return item if until > _now() else None

    def keep(self, slot: Slot, item: Item) -> None:
        """Remember an item; forget the one that was written longest ago."""
        self._items[slot] = (_now() + _RECENT_SECONDS, item)
        self._items.move_to_end(slot)
        if len(self._items) > _MOST_RECENT:
            self._items.popitem(last=False)

    def forget(self, slots: Iterable[Slot]) -> None:
        """Remember nothing of these."""
        for slot in slots:
            self._items.pop(slot, None)


class DynamoTransaction(DocumentTransaction):
    """Buffers writes; nothing reaches the database before the end of the block.

    `trusting` tells whether it has read what this process only remembers, so that its failure may be due to that.
    """

    def __init__(
        self,
        origin: Origin,
        mark: Mark | None,
        traceparent: str | None,
        *,
        documents: Documents,
        catalog: Catalog,
        committer: Committer,
        timers: TimerItems,
        recent: Recent,
    ) -> None:
        super().__init__(origin, mark, traceparent)
        self._documents = documents
        self._catalog = catalog
        self._committer = committer
        self._timers = timers
        self._recent = recent
        self._writes: dict[Slot, _Write] = {}
        self._seen: dict[Slot, Item | None] = {}
        self._read: dict[Slot, _Write] = {}
        self.trusting = False

    async def get(self, table: Table | str, key: Mapping[str, Any]) -> Item | None:
        """Return an item as this transaction sees it; `Conflict` at commit if another changes it meanwhile.

        Costs no call where this process wrote it last. An item without `version` is not watched.
        """
        found = self._catalog.find(table)
        slot = _slot(found, key)
        if slot in self._writes and self._writes[slot].kind != "ConditionCheck":
            return _copied(self._writes[slot].item)
        if slot in self._seen:
            return _copied(self._seen[slot])
        item = self._recent.get(slot)
        self.trusting |= item is not None
        if item is None:
            item = await self._documents.get(found, key)
        self._seen[slot] = item
        condition = _is_new(found) if item is None else _has_version(item.get(_VERSION))
        if condition:
            typed = {"TableName": self._catalog.physical(found), "Key": pack(found.key_of(key))}
            self._read[slot] = _Write("ConditionCheck", typed, condition)
        return _copied(item)

    def put(self, table: Table | str, item: Item, *, new: bool = False, version: int | None = None) -> None:
        """Write an item: `new` demands that there is none, `version` that the stored one has it (else `Conflict`)."""
        found = self._catalog.find(table)
        condition = _is_new(found) if new else _has_version(version)
        self._buffer(found, item, _Write("Put", {"Item": pack(item)}, condition, item))

    def delete(self, table: Table | str, key: Mapping[str, Any], *, version: int | None = None) -> None:
        """Remove an item, of this version if one is given (else `Conflict`)."""
        found = self._catalog.find(table)
        typed = {"Key": pack(found.key_of(key))}
        self._buffer(found, key, _Write("Delete", typed, _has_version(version)))

    def check(self, table: Table | str, key: Mapping[str, Any], version: int) -> None:
        """Demand that an item has this version at commit (else `Conflict`), without writing it."""
        found = self._catalog.find(table)
        typed = {"Key": pack(found.key_of(key))}
        self._buffer(found, key, _Write("ConditionCheck", typed, _has_version(version)))

    async def commit(self) -> None:
        """Write everything. Raises `Duplicate`, `Conflict`, `TooLarge` or `Unavailable`; called by the store only."""
        if not (self._writes or self.outgoing or self.scheduled or self.cancelled or self.mark or self.trusting):
            return  # what was read a moment ago needs no proof where nothing depends on it
        here = {scheduled.timer for scheduled in self.scheduled}
        cancelled = set(self.cancelled)
        writes = [
            *({write.kind: {**write.target, **write.condition}} for write in self._guarded()),
            *(self._timers.put(entry) for entry in self.scheduled if entry.timer not in cancelled),
            *(self._timers.delete(timer) for timer in cancelled - here),
        ]
        expires = self.origin.forgets(self.mark) if self.mark else None
        unit = Unit(writes, self.outgoing, self.mark, expires, self.remembered)
        try:
            await self._committer.commit(unit, self.origin.clock)
        finally:
            self._timers.written(self.scheduled)
        for slot, write in self._writes.items():
            if write.item is not None and _VERSION in write.item:
                self._recent.keep(slot, write.item)
            else:
                self._recent.forget([slot])

    def distrust(self) -> None:
        """Have read afresh, the next time, what this transaction was about: it failed."""
        self._recent.forget((*self._seen, *self._writes))

    def _guarded(self) -> list[_Write]:
        """Return the operations, on condition that what was read is still so."""
        guarded = {**self._read, **self._writes}
        for slot, read in self._read.items():
            write = guarded[slot]
            guarded[slot] = replace(write, condition=write.condition or read.condition)
        return list(guarded.values())

    def _buffer(self, table: Table, item: Mapping[str, Any], write: _Write) -> None:
        """DynamoDB takes one operation an item: the last write holds, under the first condition."""
        slot = _slot(table, item)
        before = self._writes.get(slot)
        last = before if before and write.kind == "ConditionCheck" else write
        condition = before.condition if before and before.condition else write.condition
        target = {"TableName": self._catalog.physical(table), **last.target}
        self._writes[slot] = _Write(last.kind, target, condition, last.item)


def _slot(table: Table, item: Mapping[str, Any]) -> Slot:
    return (table.name, *(str(item[name]) for name in table.keys))


def _copied(item: Item | None) -> Item | None:
    return None if item is None else dict(item)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_new(table: Table) -> Attribute:
    return {"ConditionExpression": "attribute_not_exists(#k)", "ExpressionAttributeNames": {"#k": table.key}}


def _has_version(version: int | None) -> Attribute:
    if version is None:
        return {}
    return {
        "ConditionExpression": "#v = :v",
        "ExpressionAttributeNames": {"#v": _VERSION},
        "ExpressionAttributeValues": {":v": attribute(version)},
    }
