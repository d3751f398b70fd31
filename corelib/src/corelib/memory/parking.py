"""Where poison is kept in memory."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from corelib.memory.database import Database
from corelib.memory.link import Link
from corelib.message import Record
from corelib.parking import parked_as, time_of
from corelib.store import CLAIM, Failure, Parked, Queue, Queued

_WAITS = Failure("waits behind a parked event of its key")


class MemoryParking:
    """Implements `ParkingLot`: each request is done at one moment, so nothing comes between."""

    def __init__(self, database: Database, link: Link) -> None:
        self._database = database
        self._link = link

    async def keys(self) -> frozenset[tuple[str, str]]:
        """Return every handler and key that is parked."""
        return frozenset((parked.handler, parked.record.key) for parked in await self.list())

    async def park(self, handler: str, record: Record, failure: Failure, *, attempts: int) -> None:
        """Append a record to its key's queue, begun where there is none."""
        await self._link.call("park", lambda: self._park(handler, record, failure, attempts))

    async def append(self, handler: str, *records: Record) -> int:
        """Let records of one key wait at the end of its queue: all of them, or none where there is no queue."""
        return await self._link.call("park behind", lambda: self._append(handler, records))

    async def failed(self, parked: Parked, failure: Failure) -> None:
        """Note one more attempt of a parked record that failed."""
        await self._link.call("failed again", lambda: self._failed(parked, failure))

    async def remove(self, *parked: Parked) -> None:
        """Take records of one queue out."""
        await self._link.call("unpark", lambda: self._remove(parked))

    async def queues(self) -> Sequence[Queue]:
        """Return what is parked by handler and key, in the order of their first records."""
        queues: dict[tuple[str, str], list[Parked]] = {}
        for parked in await self.list():
            queues.setdefault((parked.handler, parked.record.key), []).append(parked)
        return [
            Queue(*names, len(queue), queue[0].parked, queue[0].reason, time_of(queue[0].record.headers))
            for names, queue in queues.items()
        ]

    async def sizes(self) -> Mapping[str, Queued]:
        """Return how much is parked, by handler."""
        queues: dict[str, list[Parked]] = {}
        for parked in await self.list():
            queues.setdefault(parked.handler, []).append(parked)
        return {
            handler: Queued(len(queue), min(parked.parked for parked in queue)) for handler, queue in queues.items()
        }

    @asynccontextmanager
    async def claimed(self, handler: str, key: str) -> AsyncIterator[bool]:
        """Keep others from sending what waits in a queue; gives False where somebody else does."""
        claim = await self._link.call("claim", lambda: self._claim(handler, key))
        try:
            yield claim is not None
        finally:
            if claim is not None:
                await self._link.call("give claim up", lambda: self._give_up(handler, key, claim))

    # Last, as its name hides the built-in one from the rest of the class.
    async def list(
        self, handler: str | None = None, key: str | None = None, *, limit: int | None = None, after: int = 0
    ) -> Sequence[Parked]:
        """Return what is parked, in order: all of it, of a handler, or of a handler's key; so many behind that `id`."""
        everything = await self._link.call("list parked", lambda: tuple(self._database.parked))
        return [
            parked
            for parked in everything
            if handler in (None, parked.handler) and key in (None, parked.record.key) and int(parked.id) > after
        ][:limit]

    def _park(self, handler: str, record: Record, failure: Failure, attempts: int) -> None:
        known = {(parked.handler, parked_as(parked.handler, parked.record)) for parked in self._database.parked}
        if (handler, parked_as(handler, record)) in known:
            return
        number, now = str(next(self._database.numbers)), self._database.clock.now()
        parked = Parked(number, handler, record, failure.reason, failure.traceback, attempts, now)
        self._database.parked.append(parked)

    def _append(self, handler: str, records: Sequence[Record]) -> int:
        queue = (handler, records[0].key)
        if not any((each.handler, each.record.key) == queue for each in self._database.parked):
            return 0
        for record in records:
            self._park(handler, record, _WAITS, 0)
        return len(records)

    def _claim(self, handler: str, key: str) -> int | None:
        now = self._database.clock.now()
        _, until = self._database.claims.get((handler, key), (0, now))
        if until > now:
            return None
        claim = next(self._database.numbers)
        self._database.claims[handler, key] = claim, now + CLAIM
        return claim

    def _give_up(self, handler: str, key: str, claim: int) -> None:
        if self._database.claims.get((handler, key), (0, None))[0] == claim:
            del self._database.claims[handler, key]

    def _failed(self, known: Parked, failure: Failure) -> None:
        self._database.parked = [
            replace(each, reason=failure.reason, traceback=failure.traceback, attempts=each.attempts + 1)
            if each.id == known.id
            else each
            for each in self._database.parked
        ]

    def _remove(self, gone: Sequence[Parked]) -> None:
        ids = {parked.id for parked in gone}
        self._database.parked = [parked for parked in self._database.parked if parked.id not in ids]
