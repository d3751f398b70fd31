"""How parked queues lie in a service's system table.

A queue is a partition: its records in the order of their numbers, each followed by the parts that its item has no room
for. Beside it stand one item that counts them, in a partition with those of all other queues, and one for each record,
by which it is known that its event is parked already.
"""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

import orjson

from corelib.dynamo.items import Attribute, attribute, value_of
from corelib.dynamo.layout import instant, key_of, record_item, record_of, text_or_bytes
from corelib.dynamo.parts import ROOM
from corelib.message import Record
from corelib.parking import parked_as, time_of
from corelib.store import Failure, Parked, Queue

QUEUES = "park-queue"
"""The partition of the items that count."""
TOLD = ("sk", "reason", "parked", "headers")
"""What of its first record a queue is told by."""
COUNTER = key_of("park-counter", sort="park-counter")
_LONGEST_SORT = 1_000
_PART = "#"
_AFTER = "~"  # sorts behind every part
_BETWEEN = b"\n"  # headers and body: JSON has none within


@dataclass(frozen=True)
class Tally:
    """The item that counts a queue; `version` is the number of the last record that joined or left."""

    handler: str
    key: str
    records: int
    since: int
    version: int

    @property
    def item(self) -> Attribute:
        """The item in which it lies."""
        facts = {"handler": self.handler, "key": self.key, "records": self.records}
        typed = {name: attribute(value) for name, value in facts.items()}
        return {**self.address, **typed, "since": attribute(self.since), "version": attribute(self.version)}

    @property
    def address(self) -> Attribute:
        """The key of its item."""
        return tally_key(self.handler, self.key)

    @property
    def partition(self) -> str:
        """Where its records lie."""
        return partition(self.handler, self.key)


def tally_of(item: Attribute) -> Tally:
    """Return what an item counts."""
    return Tally(**{name: value_of(item[name]) for name in ("handler", "key", "records", "since", "version")})


def tally_key(handler: str, key: str) -> Attribute:
    """Return the key of the item that counts a queue."""
    return key_of(QUEUES, sort=_sort(handler, key))


def claim_key(handler: str, key: str) -> Attribute:
    """Return the key of the claim on a queue."""
    return key_of("park-claim", sort=_sort(handler, key))


def known_key(handler: str, record: Record) -> Attribute:
    """Return the key of the item by which a record is known to be parked."""
    return key_of("park-known", handler, parked_as(handler, record), sort="known")


def partition(handler: str, key: str) -> str:
    """Return the partition in which a queue's records lie."""
    name: str = key_of("park", handler, key, sort="")["pk"]["S"]
    return name


def record_key(parked: Parked) -> Attribute:
    """Return the key of a parked record's item."""
    return {"pk": {"S": partition(parked.handler, parked.record.key)}, "sk": {"S": sort_of(int(parked.id))}}


def sort_of(number: int) -> str:
    """Return by what a record of this number is sorted."""
    return f"{number:020d}"


def last_of(number: int) -> str:
    """Return what sorts behind the record of this number and its parts, and before the next record."""
    return f"{sort_of(number)}{_AFTER}"


def number_in(key: Attribute) -> int:
    """Return the number of the record that an item is, or is a part of."""
    return int(key["sk"]["S"].partition(_PART)[0])


def facts_of(failure: Failure, attempts: int, now: int) -> Attribute:
    """Return what is kept of why a record was parked, and when."""
    facts = {"reason": failure.reason, "traceback": failure.traceback, "attempts": attempts, "parked": now}
    return {name: attribute(value) for name, value in facts.items()}


def items_of(handler: str, record: Record, number: int, facts: Attribute) -> list[Attribute]:
    """Return the items in which a record lies: its own, then its parts."""
    key, item = key_of("park", handler, record.key, sort=sort_of(number)), record_item(record)
    headers = item["headers"]["S"].encode()
    pieces: Sequence[bytes] = ()
    if len(headers) + len(record.payload) + len(record.key.encode()) > ROOM:
        content = headers + _BETWEEN + record.payload
        pieces = [content[at : at + ROOM] for at in range(0, len(content), ROOM)]
        item = {"channel": item["channel"], "key": item["key"], "parts": attribute(len(pieces))}
    first: Attribute = {**key, **item, **facts, "handler": {"S": handler}}
    sorts = (f"{sort_of(number)}{_PART}{part:03d}" for part in range(len(pieces)))
    return [
        first,
        *({**key, "sk": {"S": sort}, "content": attribute(piece)} for sort, piece in zip(sorts, pieces, strict=True)),
    ]


async def parked_in(items: AsyncIterable[Attribute]) -> AsyncIterator[Parked]:
    """Yield what lies in a queue's items, given in order; not what was taken out while they were read."""
    first: Attribute = {}
    pieces: list[bytes] = []
    async for item in items:
        if "content" not in item:
            first, pieces = item, []
        elif first and number_in(item) == number_in(first):
            pieces.append(value_of(item["content"]))
        if first and len(pieces) == (value_of(first["parts"]) if "parts" in first else 0):
            yield _parked(first, pieces)
            first = {}


def queue_of(tally: Tally, first: Attribute) -> Queue:
    """Return what is told of a queue with this first record."""
    headers = first["headers"]["S"] if "headers" in first else "[]"
    since = instant(value_of(first["parked"]))
    return Queue(tally.handler, tally.key, tally.records, since, first["reason"]["S"], time_of(orjson.loads(headers)))


def _sort(handler: str, name: str) -> str:
    if len(name.encode()) > _LONGEST_SORT - len(handler.encode()):
        name = f"sha256/{sha256(name.encode()).hexdigest()}"
    return f"{handler}#{name}"


def _parked(item: Attribute, pieces: Sequence[bytes]) -> Parked:
    if pieces:
        headers, _, body = b"".join(pieces).partition(_BETWEEN)
        item = {**item, "headers": {"S": headers.decode()}, "body": text_or_bytes(body)}
    return Parked(
        id=str(number_in(item)),
        handler=item["handler"]["S"],
        record=record_of(item),
        reason=item["reason"]["S"],
        traceback=item["traceback"]["S"],
        attempts=value_of(item["attempts"]),
        parked=instant(value_of(item["parked"])),
    )
