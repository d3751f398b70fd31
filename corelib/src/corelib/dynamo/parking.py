"""Parked records: few, so one partition holds them all and reads of it are consistent.

Beside the records stands one item for each queue. Its version is the number of the last record that joined or left,
and every change of the queue is one transaction on condition of the version it has read. Numbers come from a counter
and never come again, and so does no version. What a record's item has no room for lies in parts, named by its number,
that come and go in the same transactions.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, Literal
from uuid import uuid4

import orjson
from botocore.exceptions import ClientError

from corelib.aws.clients import backoff
from corelib.aws.trouble import code_of
from corelib.clock import Clock
from corelib.dynamo.client import Client
from corelib.dynamo.items import Attribute, attribute
from corelib.dynamo.layout import instant, key_of, microseconds, record_item, record_of, text_or_bytes
from corelib.dynamo.parts import ROOM, joined, keys_of, parts_of
from corelib.errors import Conflict
from corelib.message import Record
from corelib.parking import parked_as, time_of
from corelib.store import CLAIM, Failure, Parked, Queue, Queued

_RECORDS, _QUEUES, _CLAIMS = "park", "park-queue", "park-claim"
_LONGEST_SORT = 1_000
_ATTEMPTS = 20
_TOLD = ("handler", "key", "number", "reason", "parked", "headers")
_BETWEEN = b"\n"  # headers and body: JSON has none within
_WAITS = Failure("waits behind a parked event of its key")
_Outcome = Literal["done", "known", "raced"]


class Parking:
    """Implements `ParkingLot`."""

    def __init__(self, client: Client, table: str, clock: Callable[[], Clock]) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    async def keys(self) -> frozenset[tuple[str, str]]:
        """Return every handler and key that is parked."""
        return frozenset(map(_name, await self._items(_QUEUES)))

    async def park(self, handler: str, record: Record, failure: Failure, *, attempts: int) -> None:
        """Append a record to its key's queue, begun where there is none."""
        await self._join(handler, record, failure, attempts, begin=True)

    async def append(self, handler: str, *records: Record) -> int:
        """Let records of one key wait, in order, at the end of its queue; return how many of the first ones do."""
        for count, record in enumerate(records):
            if not await self._join(handler, record, _WAITS, 0, begin=False):
                return count
        return len(records)

    @asynccontextmanager
    async def claimed(self, handler: str, key: str) -> AsyncIterator[bool]:
        """Keep others from sending what waits in a queue; gives False where somebody else does."""
        claim = await self._claim(handler, key)
        try:
            yield claim is not None
        finally:
            if claim is not None:
                await self._give_up(handler, key, claim)

    async def failed(self, parked: Parked, failure: Failure) -> None:
        """Note one more attempt of a parked record that failed."""
        try:
            await self._client.call(
                "UpdateItem",
                TableName=self._table,
                Key=key_of(_RECORDS, sort=parked.id),
                UpdateExpression="SET #r = :r, #t = :t ADD #a :one",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeNames={"#r": "reason", "#t": "traceback", "#a": "attempts"},
                ExpressionAttributeValues={
                    ":r": attribute(failure.reason),
                    ":t": attribute(failure.traceback),
                    ":one": attribute(1),
                },
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise

    async def remove(self, parked: Parked) -> None:
        """Take one record out; with the last one goes the queue."""
        key = key_of(_RECORDS, sort=parked.id)
        there = await self._get(key)
        if there is None:
            return
        parts = keys_of(_whole(there["number"]), _parts_in(there))
        gone = [
            self._operation("Delete", there, "number", Key=key),
            *(self._plain("Delete", Key=each) for each in parts),
        ]
        for attempt in range(_ATTEMPTS):
            queue = await self._get(_queue_key(parked.handler, parked.record.key))
            if queue is None:
                return
            if queue["records"]["N"] == "1":
                change = self._operation("Delete", queue, Key={name: queue[name] for name in ("pk", "sk")})
            else:
                change = self._operation("Put", queue, Item=await self._counted(queue, -1))
            if await self._write(change, *gone) != "raced":
                return
            await backoff(min(attempt, 3))
        raise Conflict(f"others kept changing the queue of {parked.record.key} for {parked.handler}")

    async def queues(self) -> Sequence[Queue]:
        """Return what is parked by handler and key, in the order of their first records; no body is read."""
        sizes = {_name(item): int(item["records"]["N"]) for item in await self._items(_QUEUES)}
        firsts: dict[tuple[str, str], Attribute] = {}
        async for item in self._query(_RECORDS, only=_TOLD):
            if _number(item) < _number(firsts.setdefault(_name(item), item)):
                firsts[_name(item)] = item
        there = sorted((item for name, item in firsts.items() if name in sizes), key=_number)
        return [_queue(item, sizes[_name(item)]) for item in there]

    async def sizes(self) -> Mapping[str, Queued]:
        """Return how much is parked, by handler, and since when its oldest queue is there."""
        sizes: dict[str, Queued] = {}
        for item in await self._items(_QUEUES):
            handler, since = item["handler"]["S"], instant(int(item["since"]["N"]))
            before = sizes.get(handler, Queued(0, since))
            sizes[handler] = Queued(before.records + int(item["records"]["N"]), min(before.oldest, since))
        return sizes

    async def _join(self, handler: str, record: Record, failure: Failure, attempts: int, *, begin: bool) -> bool:
        for attempt in range(_ATTEMPTS):
            queue = await self._get(_queue_key(handler, record.key))
            if queue is None and not begin:
                return False
            now = microseconds(self._clock().now())
            counted = await self._counted(queue or _new_queue(handler, record.key, now), 1)
            kept, parts = _kept(record, counted["version"])
            item: Attribute = {
                **_record_key(handler, record),
                **kept,
                "number": counted["version"],
                "handler": {"S": handler},
                "reason": {"S": failure.reason},
                "traceback": {"S": failure.traceback},
                "attempts": attribute(attempts),
                "parked": attribute(now),
            }
            joins = [self._operation("Put", None, Item=item), *(self._plain("Put", Item=part) for part in parts)]
            if await self._write(self._operation("Put", queue, Item=counted), *joins) != "raced":
                return True
            await backoff(min(attempt, 3))
        raise Conflict(f"others kept changing the queue of {record.key} for {handler}")

    async def _claim(self, handler: str, key: str) -> str | None:
        now, claim = self._clock().now(), uuid4().hex
        item = {
            **_claim_key(handler, key),
            "claim": attribute(claim),
            "until": attribute(microseconds(now + CLAIM)),
            "expires_at": attribute(int((now + CLAIM).timestamp())),
        }
        try:
            await self._client.call(
                "PutItem",
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(pk) OR #u < :now",
                ExpressionAttributeNames={"#u": "until"},
                ExpressionAttributeValues={":now": attribute(microseconds(now))},
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            return None
        return claim

    async def _give_up(self, handler: str, key: str, claim: str) -> None:
        try:
            await self._client.call(
                "DeleteItem",
                TableName=self._table,
                Key=_claim_key(handler, key),
                ConditionExpression="#c = :c",
                ExpressionAttributeNames={"#c": "claim"},
                ExpressionAttributeValues={":c": attribute(claim)},
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise

    async def _write(self, queue: Attribute, record: Attribute, *parts: Attribute) -> _Outcome:
        try:
            await self._client.call("TransactWriteItems", TransactItems=[queue, record, *parts])
        except ClientError as error:
            if code_of(error) != "TransactionCanceledException":
                raise
            reasons: list[dict[str, Any]] = [dict(reason) for reason in error.response["CancellationReasons"]]
            return "known" if reasons[1]["Code"] == "ConditionalCheckFailed" else "raced"
        return "done"

    def _operation(self, kind: str, before: Attribute | None, proof: str = "version", **target: Any) -> Attribute:
        """Return a change of an item on condition that it is still as it was read: that its proof is."""
        if before is None:
            return self._plain(kind, **target, ConditionExpression="attribute_not_exists(pk)")
        condition = {
            "ConditionExpression": "#p = :p",
            "ExpressionAttributeNames": {"#p": proof},
            "ExpressionAttributeValues": {":p": before[proof]},
        }
        return self._plain(kind, **target, **condition)

    def _plain(self, kind: str, **target: Any) -> Attribute:
        return {kind: {"TableName": self._table, **target}}

    async def _get(self, key: Attribute) -> Attribute | None:
        answer = await self._client.call("GetItem", TableName=self._table, Key=key, ConsistentRead=True)
        item: Attribute | None = answer.get("Item")
        return item

    async def _counted(self, queue: Attribute, records: int) -> Attribute:
        """Return a queue's item with so many records more and a version of its own."""
        answer = await self._client.call(
            "UpdateItem",
            TableName=self._table,
            Key=key_of("park-counter", sort="park-counter"),
            UpdateExpression="ADD #n :one",
            ExpressionAttributeNames={"#n": "number"},
            ExpressionAttributeValues={":one": attribute(1)},
            ReturnValues="UPDATED_NEW",
        )
        number = answer["Attributes"]["number"]
        return {**queue, "records": attribute(int(queue["records"]["N"]) + records), "version": number}

    async def _items(self, partition: str, handler: str | None = None) -> list[Attribute]:
        return [item async for item in self._query(partition, handler)]

    async def _query(
        self, partition: str, handler: str | None = None, *, only: Sequence[str] = ()
    ) -> AsyncIterator[Attribute]:
        condition, values = "pk = :pk", {":pk": attribute(partition)}
        if handler is not None:
            condition += " AND begins_with(sk, :handler)"
            values[":handler"] = attribute(f"{handler}#")
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ConsistentRead": True,
        }
        if only:
            query["ProjectionExpression"] = ", ".join(f"#{name}" for name in only)
            query["ExpressionAttributeNames"] = {f"#{name}": name for name in only}
        async for page in self._client.pages("Query", **query):
            for item in page["Items"]:
                yield item

    async def _versions(self, handler: str | None, key: str | None) -> dict[tuple[str, str], int]:
        """Return the versions of queues, up to which a query that begins now finds every record.

        Pages are no snapshot: a later record may be on one that is yet to come, those ahead of it on one that was read.
        """
        if handler is None or key is None:
            queues = [item for item in await self._items(_QUEUES, handler) if key in (None, item["key"]["S"])]
        else:
            queue = await self._get(_queue_key(handler, key))
            queues = [] if queue is None else [queue]
        return {_name(queue): int(queue["version"]["N"]) for queue in queues}

    async def _parked(self, item: Attribute) -> Parked | None:
        """Return what is parked in an item; None where it was taken out while this was read."""
        if count := _parts_in(item):
            content = await joined(self._client, self._table, _whole(item["number"]), count)
            if content is None:
                return None
            headers, _, body = content.partition(_BETWEEN)
            item = {**item, "headers": {"S": headers.decode()}, "body": text_or_bytes(body)}
        return _parked(item)

    # Last, as its name hides the built-in one from the rest of the class.
    async def list(
        self, handler: str | None = None, key: str | None = None, *, limit: int | None = None
    ) -> Sequence[Parked]:
        """Return what is parked, in order: all of it, of a handler, or of a handler's key; the first so many."""
        last = await self._versions(handler, key)
        items = [item for item in await self._items(_RECORDS, handler) if _number(item) <= last.get(_name(item), 0)]
        items.sort(key=_number)
        found: list[Parked] = []
        for item in items:
            if len(found) == limit:
                break
            if (parked := await self._parked(item)) is not None:
                found.append(parked)
        return found


def _kept(record: Record, number: Attribute) -> tuple[Attribute, list[Attribute]]:
    """Return what a record's item has of it, and the parts of what it has no room for."""
    item = record_item(record)
    headers = item["headers"]["S"].encode()
    if len(headers) + len(record.payload) <= ROOM:
        return item, []
    parts = parts_of(_whole(number), headers + _BETWEEN + record.payload)
    return {"channel": item["channel"], "key": item["key"], "parts": attribute(len(parts))}, parts


def _name(item: Attribute) -> tuple[str, str]:
    return item["handler"]["S"], item["key"]["S"]


def _number(item: Attribute) -> int:
    return int(item["number"]["N"])


def _parts_in(item: Attribute) -> int:
    return int(item["parts"]["N"]) if "parts" in item else 0


def _whole(number: Attribute) -> str:
    return f"{_RECORDS}#{number['N']}"


def _record_key(handler: str, record: Record) -> Attribute:
    return key_of(_RECORDS, sort=_sort(handler, parked_as(handler, record)))


def _queue_key(handler: str, key: str) -> Attribute:
    return key_of(_QUEUES, sort=_sort(handler, key))


def _claim_key(handler: str, key: str) -> Attribute:
    return key_of(_CLAIMS, sort=_sort(handler, key))


def _sort(handler: str, name: str) -> str:
    if len(name.encode()) > _LONGEST_SORT - len(handler.encode()):
        name = f"sha256/{sha256(name.encode()).hexdigest()}"
    return f"{handler}#{name}"


def _new_queue(handler: str, key: str, now: int) -> Attribute:
    names = {"handler": attribute(handler), "key": attribute(key)}
    return {**_queue_key(handler, key), **names, "records": attribute(0), "since": attribute(now)}


def _parked(item: Attribute) -> Parked:
    return Parked(
        id=item["sk"]["S"],
        handler=item["handler"]["S"],
        record=record_of(item),
        reason=item["reason"]["S"],
        traceback=item["traceback"]["S"],
        attempts=int(item["attempts"]["N"]),
        parked=instant(int(item["parked"]["N"])),
    )


def _queue(first: Attribute, records: int) -> Queue:
    headers = first["headers"]["S"] if "headers" in first else "[]"
    return Queue(
        *_name(first),
        records=records,
        since=instant(int(first["parked"]["N"])),
        reason=first["reason"]["S"],
        time=time_of(orjson.loads(headers)),
    )
