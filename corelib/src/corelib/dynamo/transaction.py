"""A unit of work on DynamoDB: buffered writes, events, timers and mark become one TransactWriteItems."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from corelib.dynamo.commit import Committer, Unit
from corelib.dynamo.items import Attribute, Item, attribute, pack
from corelib.dynamo.tables import Catalog, Table
from corelib.dynamo.timers import TimerItems
from corelib.transaction import Mark, Origin, Transaction

_VERSION = "version"


@dataclass(frozen=True)
class _Write:
    """One operation on one item; its condition is about the item as it was before the transaction."""

    kind: str
    target: Attribute
    condition: Attribute


class DynamoTransaction(Transaction):
    """Buffers writes; nothing reaches the database before the end of the block."""

    def __init__(
        self,
        origin: Origin,
        mark: Mark | None,
        traceparent: str | None,
        *,
        catalog: Catalog,
        committer: Committer,
        timers: TimerItems,
    ) -> None:
        super().__init__(origin, mark, traceparent)
        self._catalog = catalog
        self._committer = committer
        self._timers = timers
        self._writes: dict[tuple[str, ...], _Write] = {}

    def put(self, table: Table | str, item: Item, *, new: bool = False, version: int | None = None) -> None:
        """Write an item: `new` demands that there is none, `version` that the stored one has it (else `Conflict`)."""
        found = self._catalog.find(table)
        condition = _is_new(found) if new else _has_version(version)
        self._buffer(found, item, _Write("Put", {"Item": pack(item)}, condition))

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
        here = {scheduled.timer for scheduled in self.scheduled}
        cancelled = set(self.cancelled)
        writes = [
            *({write.kind: {**write.target, **write.condition}} for write in self._writes.values()),
            *(self._timers.put(entry) for entry in self.scheduled if entry.timer not in cancelled),
            *(self._timers.delete(timer) for timer in cancelled - here),
        ]
        expires = self.origin.forgets(self.mark) if self.mark else None
        unit = Unit(writes, self.outgoing, self.mark, expires, self.remembered)
        await self._committer.commit(unit, self.origin.clock)

    def _buffer(self, table: Table, item: Mapping[str, Any], write: _Write) -> None:
        """DynamoDB takes one operation an item: the last write holds, under the first condition."""
        slot = (table.name, *(str(item[name]) for name in table.keys))
        before = self._writes.get(slot)
        last = before if before and write.kind == "ConditionCheck" else write
        condition = before.condition if before and before.condition else write.condition
        target = {"TableName": self._catalog.physical(table), **last.target}
        self._writes[slot] = _Write(last.kind, target, condition)


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
