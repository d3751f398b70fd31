"""Parked queues on DynamoDB: every change of one is a transaction on condition of the version that was read.

Numbers come from a counter and never come again, and so does no version; a record that joins later has the higher
number. How it all lies in the table is told by `corelib.dynamo.parked_items`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from corelib.aws.clients import backoff
from corelib.aws.trouble import code_of
from corelib.batches import batches
from corelib.clock import Clock
from corelib.dynamo.claims import Claims
from corelib.dynamo.client import Client
from corelib.dynamo.commit import RACED, THROTTLED
from corelib.dynamo.items import Attribute, attribute, value_of
from corelib.dynamo.layout import instant, microseconds
from corelib.dynamo.parked_items import (
    COUNTER,
    QUEUES,
    TOLD,
    Tally,
    facts_of,
    items_of,
    known_key,
    last_of,
    number_in,
    parked_in,
    queue_of,
    record_key,
    sort_of,
    tally_key,
    tally_of,
)
from corelib.errors import Conflict
from corelib.message import Record
from corelib.parking import parked_as
from corelib.store import Failure, Parked, Queue, Queued
from corelib.transaction import size_of

_WAITS = Failure("waits behind a parked event of its key")
_ATTEMPTS = 20
_ASKED_AT_ONCE = 16
# A transaction takes 100 items and 4 MB, which some count as they travel: base64, escapes and all.
_TOGETHER, _TOGETHER_BYTES = 40, 1_000_000


class Parking:
    """Implements `ParkingLot`."""

    def __init__(self, client: Client, table: str, clock: Callable[[], Clock]) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._claims = Claims(client, table, clock)

    async def keys(self) -> frozenset[tuple[str, str]]:
        """Return every handler and key that is parked."""
        return frozenset((tally.handler, tally.key) for tally in await self._tallies())

    async def park(self, handler: str, record: Record, failure: Failure, *, attempts: int) -> None:
        """Append a record to its key's queue, begun where there is none."""
        await self._join(handler, [record], failure, attempts, begin=True)

    async def append(self, handler: str, *records: Record) -> int:
        """Let records of one key wait, in order, at the end of its queue; return how many of the first ones do."""
        count = 0
        for together in batches(records, size_of, most=_TOGETHER, most_bytes=_TOGETHER_BYTES):
            if not await self._join(handler, together, _WAITS, 0, begin=False):
                break
            count += len(together)
        return count

    def claimed(self, handler: str, key: str) -> AbstractAsyncContextManager[bool]:
        """Keep others from sending what waits in a queue; gives False where somebody else does."""
        return self._claims.held(handler, key)

    async def failed(self, parked: Parked, failure: Failure) -> None:
        """Note one more attempt of a parked record that failed."""
        try:
            await self._client.call(
                "UpdateItem",
                TableName=self._table,
                Key=record_key(parked),
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

    async def remove(self, *parked: Parked) -> None:
        """Take records of one queue out; with the last one goes the queue."""
        for together in batches(parked, _size_of, most=_TOGETHER, most_bytes=_TOGETHER_BYTES):
            await self._leave(together)

    async def queues(self) -> Sequence[Queue]:
        """Return what is parked by handler and key, in the order of their first records; no body is read."""
        tallies, told = await self._tallies(), []
        for at in range(0, len(tallies), _ASKED_AT_ONCE):
            some = tallies[at : at + _ASKED_AT_ONCE]
            firsts = zip(some, await asyncio.gather(*map(self._first, some)), strict=True)
            told += [(number_in(first), queue_of(tally, first)) for tally, first in firsts if first is not None]
        return [queue for _, queue in sorted(told, key=lambda each: each[0])]

    async def sizes(self) -> Mapping[str, Queued]:
        """Return how much is parked, by handler, and since when its oldest queue is there."""
        sizes: dict[str, Queued] = {}
        for tally in await self._tallies():
            since = instant(tally.since)
            before = sizes.get(tally.handler, Queued(0, since))
            sizes[tally.handler] = Queued(before.records + tally.records, min(before.oldest, since))
        return sizes

    async def _join(
        self, handler: str, records: Sequence[Record], failure: Failure, attempts: int, *, begin: bool
    ) -> bool:
        """Append those of some records that do not wait yet; False where there is no queue, and none is to begin."""
        joining: dict[str, Record] = {}
        for record in records:
            joining.setdefault(parked_as(handler, record), record)
        for attempt in range(_ATTEMPTS):
            before = await self._tally(handler, records[0].key)
            if before is None and not begin:
                return False
            now = microseconds(self._clock().now())
            last = await self._numbered(len(joining))
            after = before or Tally(handler, records[0].key, records=0, since=now, version=0)
            after = replace(after, records=after.records + len(joining), version=last)
            numbers = range(last - len(joining) + 1, last + 1)
            items = [
                item
                for number, record in zip(numbers, joining.values(), strict=True)
                for item in items_of(handler, record, number, facts_of(failure, attempts, now))
            ]
            raced = await self._change(
                self._counted(before, after),
                *(self._new(known_key(handler, record)) for record in joining.values()),
                *(self._operation("Put", Item=item) for item in items),
            )
            if raced is None:
                return True
            joining = {name: record for at, (name, record) in enumerate(joining.items(), 1) if at not in raced}
            if not joining:
                return True
            await backoff(min(attempt, 3))
        raise Conflict(f"others kept changing the queue of {records[0].key} for {handler}")

    async def _leave(self, parked: Sequence[Parked]) -> None:
        leaving = {int(each.id): each for each in parked}
        handler, key = parked[0].handler, parked[0].record.key
        for attempt in range(_ATTEMPTS):
            before = await self._tally(handler, key)
            if before is None:
                return
            between = self._between(before, min(leaving), max(leaving), only=("pk", "sk"))
            keys = [item async for item in between if number_in(item) in leaving]
            there = {number_in(each) for each in keys}
            if not there:
                return
            after = replace(before, records=before.records - len(there), version=await self._numbered(1))
            known = [known_key(handler, each.record) for number, each in leaving.items() if number in there]
            raced = await self._change(
                self._counted(before, after), *(self._operation("Delete", Key=each) for each in (*known, *keys))
            )
            if raced is None:
                return
            await backoff(min(attempt, 3))
        raise Conflict(f"others kept changing the queue of {key} for {handler}")

    async def _change(self, *operations: Attribute) -> frozenset[int] | None:
        """Do all of it, or none; return None when it is done, else which of it was not as was thought."""
        try:
            await self._client.call("TransactWriteItems", TransactItems=operations)
        except ClientError as error:
            if code_of(error) != "TransactionCanceledException":
                raise
            reasons = error.response["CancellationReasons"]
            if {reason["Code"] for reason in reasons} - {"None"} - RACED - THROTTLED:
                raise  # it would be the same each time
            return frozenset(at for at, reason in enumerate(reasons) if reason["Code"] == "ConditionalCheckFailed")
        return None

    def _counted(self, before: Tally | None, after: Tally) -> Attribute:
        """Return the change of what counts a queue, on condition that it is as it was read."""
        if before is None:
            return self._new(after.item)
        condition = {
            "ConditionExpression": "#v = :v",
            "ExpressionAttributeNames": {"#v": "version"},
            "ExpressionAttributeValues": {":v": attribute(before.version)},
        }
        if after.records:
            return self._operation("Put", Item=after.item, **condition)
        return self._operation("Delete", Key=before.address, **condition)

    def _new(self, item: Attribute) -> Attribute:
        return self._operation("Put", Item=item, ConditionExpression="attribute_not_exists(pk)")

    def _operation(self, kind: str, **target: Any) -> Attribute:
        return {kind: {"TableName": self._table, **target}}

    async def _numbered(self, count: int) -> int:
        """Take so many numbers, which nobody else gets; return the last of them."""
        answer = await self._client.call(
            "UpdateItem",
            TableName=self._table,
            Key=COUNTER,
            UpdateExpression="ADD #n :count",
            ExpressionAttributeNames={"#n": "number"},
            ExpressionAttributeValues={":count": attribute(count)},
            ReturnValues="UPDATED_NEW",
        )
        number: int = value_of(answer["Attributes"]["number"])
        return number

    async def _tally(self, handler: str, key: str) -> Tally | None:
        address = tally_key(handler, key)
        answer = await self._client.call("GetItem", TableName=self._table, Key=address, ConsistentRead=True)
        return tally_of(answer["Item"]) if "Item" in answer else None

    async def _tallies(self, handler: str | None = None, key: str | None = None) -> Sequence[Tally]:
        if handler is not None and key is not None:
            tally = await self._tally(handler, key)
            return [] if tally is None else [tally]
        condition, values = "pk = :pk", {":pk": attribute(QUEUES)}
        if handler is not None:
            condition += " AND begins_with(sk, :handler)"
            values[":handler"] = attribute(f"{handler}#")
        items = self._query(KeyConditionExpression=condition, ExpressionAttributeValues=values)
        tallies = [tally_of(item) async for item in items]
        return [tally for tally in tallies if key in (None, tally.key)]

    async def _first(self, tally: Tally) -> Attribute | None:
        async for item in self._between(tally, 0, tally.version, only=TOLD, Limit=1):
            return item
        return None

    def _between(
        self, tally: Tally, first: int, last: int, *, only: Sequence[str] = (), **more: Any
    ) -> AsyncIterator[Attribute]:
        """Yield what lies in a queue from one number to another, in order."""
        names = {f"#{name}": name for name in only}
        projection = {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names} if only else {}
        values = {":pk": tally.partition, ":first": sort_of(first), ":last": last_of(last)}
        return self._query(
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={name: attribute(value) for name, value in values.items()},
            **projection,
            **more,
        )

    async def _query(self, **query: Any) -> AsyncIterator[Attribute]:
        async for page in self._client.pages("Query", TableName=self._table, ConsistentRead=True, **query):
            for item in page["Items"]:
                yield item

    # Last, as its name hides the built-in one from the rest of the class.
    async def list(
        self, handler: str | None = None, key: str | None = None, *, limit: int | None = None, after: int = 0
    ) -> Sequence[Parked]:
        """Return what is parked, in order: all of it, of a handler, or of a handler's key; so many behind that `id`."""
        found: list[Parked] = []
        paged: dict[str, Any] = {} if limit is None else {"Limit": limit}
        for tally in await self._tallies(handler, key):
            if tally.version <= after:
                continue
            # Up to its version: pages are no snapshot, and a later record may be on one without those ahead of it.
            count = 0
            async for parked in parked_in(self._between(tally, after + 1, tally.version, **paged)):
                found.append(parked)
                count += 1
                if count == limit:
                    break
        return sorted(found, key=lambda parked: int(parked.id))[:limit]


def _size_of(parked: Parked) -> int:
    return size_of(parked.record)
