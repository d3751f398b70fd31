"""What is parked, read to be sent again, in pages: a key may have a million behind its poison."""

from collections.abc import AsyncIterator, Sequence

from corelib.history import Page, Past, Place, Selection
from corelib.parking import AT_ONCE
from corelib.store import Parked, ParkingLot


class ParkedHistory:
    """Implements `History` for what is parked, of every handler: key by key, a page of each of its queues at once."""

    def __init__(self, parking: ParkingLot) -> None:
        self._parking = parking

    async def pages(self, selection: Selection, after: Place | None = None) -> AsyncIterator[Page]:
        """Yield pages in order of keys, and of each key's records."""
        handlers: dict[str, list[str]] = {}
        for handler, key in await self._parking.keys():
            if not selection.keys or key in selection.keys:
                handlers.setdefault(key, []).append(handler)
        place = after or {"key": "", "behind": 0}
        for key in sorted(key for key in handlers if key >= place["key"]):
            behind, known = place["behind"] if key == place["key"] else 0, frozenset[tuple[str, str]]()
            while found := await self._next(handlers[key], key, behind):
                behind = int(found[-1].id)
                # An event that several handlers parked is sent once: each of them takes it from the topic.
                pasts: dict[tuple[str, str], Past] = {}
                for past in (Past(each.record, each.parked) for each in found):
                    pasts.setdefault(past.name, past)
                meant = [past for name, past in pasts.items() if name not in known and selection.wants(past)]
                yield Page(meant, {"key": key, "behind": behind})
                known = frozenset(pasts)

    async def _next(self, handlers: Sequence[str], key: str, behind: int) -> Sequence[Parked]:
        """Return records of a key's queues in order, as far as all of these were read."""
        queues = [await self._parking.list(each, key, limit=AT_ONCE, after=behind) for each in handlers]
        ends = [int(queue[-1].id) for queue in queues if len(queue) == AT_ONCE]
        found = sorted((parked for queue in queues for parked in queue), key=lambda parked: int(parked.id))
        return [parked for parked in found if not ends or int(parked.id) <= min(ends)]
