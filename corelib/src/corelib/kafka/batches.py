"""Record batches of Kafka (record format v2), put together from an outbox's rows without an object per record.

aiokafka's builder wants each header by itself; joining what the commit has already encoded takes a third of its time.
The producer numbers such a batch and sends it as it would its own.
"""

import struct
import time
from collections.abc import Callable, Sequence

from aiokafka.record.util import calc_crc32c

from corelib.broker import Outgoing
from corelib.headers import SMALL, varint

_HEADER = struct.Struct(">qiibIhiqqqhii")
_CHECKED = struct.Struct(">hiqqqhii")  # what the checksum covers of the header
TOPIC_BYTES = 1_048_588  # Kafka's own default of max.message.bytes
LARGEST_BYTES = 900_000  # below that, and above the largest event with a batch around it
_TRUSTED_SECONDS = 3_600.0  # a topic's last refusal
_MAGIC = 2
_TRANSACTIONAL = 0x10
_UNCHECKED = struct.Struct(">qiibI")  # what stands before that
_PREFIX = 12  # offset and length, which the length does not count
# length, attributes, timestamp and offset, key and value lengths: never more than this beside the contents
_OVERHEAD = 24
_FIRST = tuple(b"\0\0" + offset for offset in SMALL)
"""How records begin, by their number in the batch: attributes, a timestamp that is the batch's, the number."""


class EncodedBatch:
    """Records of one partition as their pieces, ready to be joined once the producer has numbered them."""

    def __init__(self, pieces: Sequence[bytes], count: int, *, transactional: bool) -> None:
        self._pieces = pieces
        self._count = count
        self._attributes = _TRANSACTIONAL if transactional else 0
        self._producer = (-1, -1, -1)

    def size(self) -> int:
        """Return how many bytes it has."""
        return _HEADER.size + sum(map(len, self._pieces))

    def record_count(self) -> int:
        """Return how many records it holds."""
        return self._count

    def closed(self) -> bool:
        """Nothing can be added."""
        return True

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytearray:
        now, count = int(time.time() * 1_000), self._count
        batch = bytearray().join((bytes(_HEADER.size), *self._pieces))
        _CHECKED.pack_into(batch, _UNCHECKED.size, self._attributes, count - 1, now, now, *self._producer, count)
        with memoryview(batch) as whole:
            checksum = calc_crc32c(whole[_UNCHECKED.size :])
        _UNCHECKED.pack_into(batch, 0, 0, len(batch) - _PREFIX, -1, _MAGIC, checksum)
        return batch


def encode(rows: Sequence[Outgoing], limit: int, *, transactional: bool) -> list[EncodedBatch]:
    """Return the rows of one partition, in order, as batches of at most `limit` bytes (a larger row stands alone)."""
    batches: list[EncodedBatch] = []
    pieces: list[bytes] = []
    size, count, small, first, many = _HEADER.size, 0, SMALL, _FIRST, len(SMALL)
    for row in rows:  # by index: a driver's row has columns behind these
        key, headers, payload = row[1].encode(), row[3], row[4]
        key_size, payload_size = len(key), len(payload)
        room = key_size + payload_size + len(headers) + _OVERHEAD
        if size + room > limit and count:
            batches.append(EncodedBatch(pieces, count, transactional=transactional))
            pieces, size, count = [], _HEADER.size, 0
        start = first[count] if count < many else b"\0\0" + varint(count)
        key_length = small[key_size] if key_size < many else varint(key_size)
        length = small[payload_size] if payload_size < many else varint(payload_size)
        whole = len(start) + len(key_length) + key_size + len(length) + payload_size + len(headers)
        pieces += (small[whole] if whole < many else varint(whole), start, key_length, key, length, payload, headers)
        size += room
        count += 1
    if count:
        batches.append(EncodedBatch(pieces, count, transactional=transactional))
    return batches


class BatchSizes:
    """How large a batch each channel's topic takes: `max.message.bytes` counts batches, and is learnt by refusals.

    What was learnt need not last, as a topic is given more, or one record alone was too large: with each hour that
    passes without a refusal it is twice as much. A topic that stays narrow refuses one batch an hour.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._learnt: dict[str, tuple[int, float]] = {}

    def of(self, channel: str) -> int:
        """Return the most bytes to put into a batch."""
        if channel not in self._learnt:
            return LARGEST_BYTES
        size, learnt_at = self._learnt[channel]
        return min(LARGEST_BYTES, size << int((self._clock() - learnt_at) / _TRUSTED_SECONDS))

    def refused(self, channel: str, size: int) -> None:
        """Put half as much into batches from now on as into the one that was refused."""
        self._learnt[channel] = (min(self.of(channel), size) // 2, self._clock())


def too_large(topic: str, records: int) -> str:
    """Say what a topic refused, and what to do if it was not merely a batch that can be smaller."""
    if records > 1:
        return f"topic {topic} takes no batch of {records} records so large (max.message.bytes): smaller ones follow"
    return f"topic {topic} takes no record so large: raise its max.message.bytes, `corelib doctor` says how far"


def as_large(rows: Sequence[Outgoing], refused: Outgoing) -> list[Outgoing]:
    """Return what a topic that refused a row for its size will refuse with it, so that not each has to be tried."""
    least = _size(refused)
    return [row for row in rows if row[0] == refused[0] and _size(row) >= least]


def _size(row: Outgoing) -> int:
    return len(row[1].encode()) + len(row[3]) + len(row[4])
