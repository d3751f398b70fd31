"""What the outbox and the topics in memory still have, and the audit of what operators did with it."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from corelib.headers import unpack
from corelib.history import Page, Past, Place, Selection
from corelib.memory.cluster import Cluster
from corelib.memory.database import Database, Stored
from corelib.memory.link import Link
from corelib.message import Channel, Record
from corelib.operation import Operation, lost


class MemoryHistory:
    """Implements `History` for what one relay has delivered; what still waits for it is not sent before its turn."""

    def __init__(self, database: Database, link: Link, relay: str) -> None:
        self._database = database
        self._link = link
        self._relay = relay

    async def pages(self, selection: Selection, after: Place | None = None) -> AsyncIterator[Page]:
        """Yield one page, in order of ids, which is the order of commits per key."""
        start = after["id"] if after else 0
        rows = await self._link.call("history", lambda: self._database.delivered(self._relay))
        meant = [past for past in (_past(row) for row in rows if row.id > start) if selection.wants(past)]
        yield Page(meant, {"id": max((row.id for row in rows), default=start)})


class MemoryTopics:
    """Implements `History` for some channels of the broker."""

    def __init__(self, cluster: Cluster, link: Link, channels: Sequence[Channel]) -> None:
        self._cluster = cluster
        self._link = link
        self._channels = channels

    async def pages(self, selection: Selection, after: Place | None = None) -> AsyncIterator[Page]:
        """Yield a page for each partition, up to what was written when this began."""
        place = dict(after or {})
        places = await self._link.call("partitions", lambda: self._cluster.places(self._channels))
        ends = await self._link.call("ends", lambda: self._cluster.ends(places))
        for channel, number in places:
            name, end = f"{channel}/{number}", ends[channel, number]
            start = place.get(name, 0)
            past = self._cluster.partitions[channel, number].past(start, end)
            place[name] = end
            yield Page([each for each in past if selection.wants(each)], dict(place))


class MemoryOperations:
    """Implements `Operations`."""

    def __init__(self, database: Database, link: Link) -> None:
        self._database = database
        self._link = link

    async def save(self, operation: Operation, *, over: UUID | None = None) -> None:
        """Write an operation, or how far it has come since. Raises `LeaseLost` where it is another run's."""
        await self._link.call("save operation", lambda: self._save(operation, over))

    async def find(self, id: UUID) -> Operation | None:  # noqa: A002 -- the operation's own word
        """Return one, None where there is none."""
        return await self._link.call("find operation", lambda: self._database.operations.get(id))

    async def list(self) -> Sequence[Operation]:
        """Return all, the latest first."""
        return await self._link.call("list operations", lambda: list(self._database.operations.values())[::-1])

    def _save(self, operation: Operation, over: UUID | None) -> None:
        there = self._database.operations.get(operation.id)
        own = operation.run and operation.run.id
        if there and there.run and there.run.id not in {own, over}:
            raise lost(operation)
        self._database.operations[operation.id] = operation


def _past(row: Stored) -> Past:
    return Past(Record(row.channel, row.key, unpack(row.headers), row.payload), row.written)
