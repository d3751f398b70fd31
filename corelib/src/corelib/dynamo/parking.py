"""Parked records: few, so one partition holds them all and reads of it are consistent."""

from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from botocore.exceptions import ClientError

from corelib.aws import code_of
from corelib.dynamo.client import Client
from corelib.dynamo.items import Attribute, attribute
from corelib.dynamo.layout import instant, key_of, microseconds, record_item, record_of
from corelib.message import Record
from corelib.store import Parked

_PARTITION = "park"
_LONGEST_SORT = 1_000


class Parking:
    """Implements `ParkingLot`; `now` tells the service's time."""

    def __init__(self, client: Client, table: str, now: Callable[[], datetime]) -> None:
        self._client = client
        self._table = table
        self._now = now

    async def keys(self, handler: str) -> frozenset[str]:
        """Return the keys that are parked for a handler."""
        items = await self._items(handler)
        return frozenset(str(item["key"]["S"]) for item in items)

    async def park(self, handler: str, record: Record, *, reason: str, attempts: int) -> None:
        """Append a record to its key's queue; parking one event (`ce_id`) for a handler twice changes nothing."""
        item: Attribute = {
            **_key(handler, record),
            **record_item(record),
            "number": {"N": await self._next_number()},
            "handler": {"S": handler},
            "reason": {"S": reason},
            "attempts": attribute(attempts),
            "parked": attribute(microseconds(self._now())),
        }
        try:
            await self._client.call(
                "PutItem", TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(pk)"
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise

    async def _next_number(self) -> str:
        """Clocks of replicas differ, and many records are parked in one millisecond: a counter keeps their order."""
        answer = await self._client.call(
            "UpdateItem",
            TableName=self._table,
            Key=key_of("park-counter", sort="park-counter"),
            UpdateExpression="ADD #n :one",
            ExpressionAttributeNames={"#n": "number"},
            ExpressionAttributeValues={":one": attribute(1)},
            ReturnValues="UPDATED_NEW",
        )
        number: str = answer["Attributes"]["number"]["N"]
        return number

    async def _items(self, handler: str | None) -> list[Attribute]:
        condition, values = "pk = :pk", {":pk": attribute(_PARTITION)}
        if handler is not None:
            condition += " AND begins_with(sk, :handler)"
            values[":handler"] = attribute(f"{handler}#")
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ConsistentRead": True,
        }
        return [item async for page in self._client.pages("Query", **query) for item in page["Items"]]

    # Last, as its name hides the built-in one from the rest of the class.
    async def list(self, handler: str | None = None) -> Sequence[Parked]:
        """Return all that is parked, oldest first."""
        items = await self._items(handler)
        return [_parked(item) for item in sorted(items, key=lambda item: int(item["number"]["N"]))]

    async def remove(self, parked: Parked) -> None:
        """Take one record out, after it was handled or skipped."""
        key = _key(parked.handler, parked.record)
        await self._client.call("DeleteItem", TableName=self._table, Key=key)


def _key(handler: str, record: Record) -> Attribute:
    event_id = record.header("ce_id") or f"{record.channel}/{sha256(record.payload).hexdigest()}"
    if len(event_id.encode()) > _LONGEST_SORT - len(handler.encode()):
        event_id = f"sha256/{sha256(event_id.encode()).hexdigest()}"
    return key_of(_PARTITION, sort=f"{handler}#{event_id}")


def _parked(item: Attribute) -> Parked:
    return Parked(
        id=item["number"]["N"],
        handler=item["handler"]["S"],
        record=record_of(item),
        reason=item["reason"]["S"],
        attempts=int(item["attempts"]["N"]),
        parked=instant(int(item["parked"]["N"])),
    )
