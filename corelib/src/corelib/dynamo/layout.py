"""Where things lie in a service's system table: keys, shards, and outbox entries as items.

What is looked for by time carries `shard` and `due` and so appears in the sparse index `due`: pending outbox entries
under `out#<channel>#<n>`, sent ones under `sent#<channel>#<n>` until they expire, timers under `timer#<n>`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from zlib import crc32

import orjson

from corelib.dynamo.items import Attribute, attribute, value_of
from corelib.message import Record

Stream = tuple[str, str]  # (channel, key): what order is kept within

INDEX = "due"
# More than these relays cannot share one outbox. To change it, drain the outbox first: entries keep their shard.
SHARDS = 8
_TIMER_SHARDS = 4
HEAD = "head"
SENT, _OUT, _TIMER = "sent#", "out#", "timer#"
# DynamoDB takes 2,048 bytes of partition key and 1,024 of sort key.
_LONGEST_KEY = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record in the outbox: `sequence` counts from 0 without a gap in its stream; `committed` in microseconds.

    `writer` names the process that committed it.
    """

    record: Record
    sequence: int
    committed: int
    writer: str = ""

    @property
    def stream(self) -> Stream:
        """The stream it belongs to."""
        return (self.record.channel, self.record.key)

    @property
    def shard(self) -> int:
        """The shard it belongs to."""
        return shard_of(self.stream)


def key_of(kind: str, *parts: str, sort: str) -> Attribute:
    """Return the typed key of a system item, whatever the length of its parts."""
    name = "#".join((kind, *parts))
    if len(name.encode()) > _LONGEST_KEY:
        name = f"{kind}#sha256#{sha256(name.encode()).hexdigest()}"
    return {"pk": {"S": name}, "sk": {"S": sort}}


def mark_key(scope: str, id: str) -> Attribute:  # noqa: A002 -- the mark's own word
    """Return the key of a mark; the scope stands in the sort key too, so that no two pairs share a key."""
    return key_of("mark", scope, id, sort=scope if len(scope.encode()) <= _LONGEST_KEY else "mark")


def entry_key(stream: Stream, sequence: int) -> Attribute:
    """Return the key of an outbox entry."""
    return key_of("out", *stream, sort=f"{sequence:020d}")


def head_key(stream: Stream) -> Attribute:
    """Return the key of the item that holds a stream's next sequence."""
    return key_of("out", *stream, sort=HEAD)


def shard_of(stream: Stream) -> int:
    """Return the shard that a stream belongs to."""
    return crc32(stream[1].encode()) % SHARDS


def out_partition(channel: str, shard: int) -> str:
    """Return the index partition where a shard's entries wait for their relay."""
    return f"{_OUT}{channel}#{shard}"


def sent_partition(channel: str, shard: int) -> str:
    """Return the index partition where a shard's entries are kept for replay."""
    return f"{SENT}{channel}#{shard}"


def timer_partition(name: str) -> str:
    """Return the index partition where a timer waits."""
    return f"{_TIMER}{crc32(name.encode()) % _TIMER_SHARDS}"


def timer_partitions() -> list[str]:
    """Return the index partitions of timers."""
    return [f"{_TIMER}{number}" for number in range(_TIMER_SHARDS)]


def microseconds(time: datetime) -> int:
    """Return microseconds since the epoch, exactly."""
    return (time - _EPOCH) // _MICROSECOND


def instant(micros: int) -> datetime:
    """Return the time of microseconds since the epoch."""
    return _EPOCH + micros * _MICROSECOND


def due_text(micros: int) -> str:
    """Return a time so that strings sort as times do."""
    return f"{micros:020d}"


def text_or_bytes(body: bytes) -> Attribute:
    """Return a body as text where it is text: readable in the console, and a third smaller than base64."""
    try:
        return {"S": body.decode()}
    except UnicodeDecodeError:
        return attribute(body)


def body_of(typed: Attribute) -> bytes:
    """Return the bytes of a body."""
    body: str | bytes = value_of(typed)
    return body.encode() if isinstance(body, str) else body


def record_item(record: Record) -> Attribute:
    """Return the attributes of a record."""
    return {
        "channel": {"S": record.channel},
        "key": {"S": record.key},
        # One string instead of a list of lists: seven headers would be twenty-one typed values.
        "headers": {"S": orjson.dumps(record.headers).decode()},
        "body": text_or_bytes(record.payload),
    }


def record_of(item: Attribute) -> Record:
    """Return the record in an item."""
    headers: list[list[str]] = orjson.loads(item["headers"]["S"])
    return Record(
        item["channel"]["S"], item["key"]["S"], tuple((name, value) for name, value in headers), body_of(item["body"])
    )


def pending_item(entry: Entry) -> Attribute:
    """Return an entry's item while it waits for its relay: without an expiry."""
    shard = out_partition(entry.record.channel, entry.shard)
    return {**_entry_item(entry), "shard": {"S": shard}, "writer": {"S": entry.writer}}


def acknowledged_item(entry: Entry, expires: datetime) -> Attribute:
    """Return an entry's item once it was sent: kept for replay until it expires."""
    shard = sent_partition(entry.record.channel, entry.shard)
    return {**_entry_item(entry), "shard": {"S": shard}, "expires_at": attribute(int(expires.timestamp()))}


def entry_of(item: Attribute) -> Entry:
    """Return the entry in an item."""
    writer = item.get("writer", {"S": ""})["S"]
    return Entry(record_of(item), int(item["sk"]["S"]), int(item["due"]["S"]), writer)


def is_pending(item: Attribute) -> bool:
    """Return whether an item is an entry that waits for its relay."""
    return "shard" in item and str(item["shard"]["S"]).startswith(_OUT)


def is_timer(item: Attribute) -> bool:
    """Return whether an item is a timer."""
    return "shard" in item and str(item["shard"]["S"]).startswith(_TIMER)


def due_of(item: Attribute) -> int:
    """Return when an item is due, in microseconds."""
    return int(item["due"]["S"])


def due_query(table: str, partition: str, *, until: int | None = None, **more: Any) -> dict[str, Any]:
    """Return the parameters of a query for what is due in an index partition, oldest first."""
    condition, values = "#s = :s", {":s": {"S": partition}}
    names = {"#s": "shard"}
    if until is not None:
        condition += " AND #d <= :d"
        names["#d"] = "due"
        values[":d"] = {"S": due_text(until)}
    return {
        "TableName": table,
        "IndexName": INDEX,
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        **more,
    }


def _entry_item(entry: Entry) -> Attribute:
    return {
        **entry_key(entry.stream, entry.sequence),
        **record_item(entry.record),
        "due": {"S": due_text(entry.committed)},
    }
