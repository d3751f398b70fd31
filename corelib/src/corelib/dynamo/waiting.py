"""What a relay knows in memory: entries that wait, in order per stream, and how far each stream was sent."""

from collections import OrderedDict
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from corelib.dynamo.layout import Entry, Stream, shard_of

_STREAMS_REMEMBERED = 100_000
_MOST_ENTRIES = 10_000
# A hot key may not fill what is read at once: others wait behind nobody but their own.
_MOST_OF_A_STREAM = 250
_MOST_BYTES = 64 * 1024 * 1024
_MOST_BYTES_AT_ONCE = 16 * 1024 * 1024


class Waiting:
    """The outbox entries not yet acknowledged that this relay has seen."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Stream, dict[int, Entry]] = OrderedDict()
        self._sent: OrderedDict[Stream, int] = OrderedDict()
        self._count = 0
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether no more should be taken in before some is sent."""
        return self._count >= _MOST_ENTRIES or self._bytes >= _MOST_BYTES

    def __len__(self) -> int:
        return self._count

    def add(self, entry: Entry) -> bool:
        """Take in an entry; return whether it was unknown and not yet sent."""
        if self.was_sent(entry):
            return False
        entries = self._entries.setdefault(entry.stream, {})
        if entry.sequence in entries:
            return False
        entries[entry.sequence] = entry
        self._count += 1
        self._bytes += len(entry.record.payload)
        return True

    def was_sent(self, entry: Entry) -> bool:
        """Return whether its stream is known to be sent beyond it."""
        return entry.sequence <= self._sent.get(entry.stream, -1)

    def sent(self, stream: Stream, sequence: int) -> None:
        """Know that a stream was sent up to and including a sequence."""
        self._sent[stream] = max(sequence, self._sent.get(stream, -1))
        self._sent.move_to_end(stream)
        if len(self._sent) > _STREAMS_REMEMBERED:
            self._sent.popitem(last=False)
        entries = self._entries.get(stream, {})
        for done in [number for number in entries if number <= sequence]:
            self._bytes -= len(entries.pop(done).record.payload)
            self._count -= 1
        if not entries:
            self._entries.pop(stream, None)

    def ready(self, limit: int) -> list[Entry]:
        """Return entries that may be sent: per stream without a gap from the last one sent; streams take turns.

        `limit` of them at most, and what has room in memory while it is sent.
        """
        room = _MOST_BYTES_AT_ONCE
        found: list[Entry] = []
        served: list[Stream] = []
        for stream, entries in self._entries.items():
            following = self._sent.get(stream, -1) + 1
            end = min(following + _MOST_OF_A_STREAM, following + limit - len(found))
            first = following
            while following < end and following in entries and room > 0:
                found.append(entries[following])
                room -= len(entries[following].record.payload)
                following += 1
            if following > first:
                served.append(stream)
            if len(found) >= limit or room <= 0:
                break
        for stream in served:
            self._entries.move_to_end(stream)
        return found

    def oldest(self) -> int | None:
        """Return when the oldest entry was committed, in microseconds; None when there is none."""
        return min((entry.committed for entries in self._entries.values() for entry in entries.values()), default=None)

    def gaps(self, limit: int) -> list[tuple[Stream, int]]:
        """Return streams whose next entry is unknown, each with the first sequence that is known."""
        found: list[tuple[Stream, int]] = []
        for stream, entries in self._entries.items():
            if self._sent.get(stream, -1) + 1 not in entries:
                found.append((stream, min(entries)))
                if len(found) >= limit:
                    break
        return found

    def leave(self, stream: Stream) -> None:
        """Know nothing of what waits in a stream: a sweep, which comes from its beginning, finds it again."""
        for entry in self._entries.pop(stream, {}).values():
            self._bytes -= len(entry.record.payload)
            self._count -= 1

    def forget(self, shards: AbstractSet[int]) -> None:
        """Know nothing more of some shards: another relay may send, or may have sent, what is theirs."""
        for stream in [stream for stream in self._entries if shard_of(stream) in shards]:
            self.leave(stream)
        for stream in [stream for stream in self._sent if shard_of(stream) in shards]:
            del self._sent[stream]


def last_of_streams(entries: Iterable[Entry]) -> dict[Stream, int]:
    """Return the highest sequence of each stream."""
    last: dict[Stream, int] = {}
    for entry in entries:
        last[entry.stream] = max(entry.sequence, last.get(entry.stream, -1))
    return last
