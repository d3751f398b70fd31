"""What a system table still has of the outbox entries that were delivered, until they expire."""

from collections.abc import AsyncIterator
from itertools import product
from typing import Any

from corelib.dynamo.client import Client
from corelib.dynamo.items import Attribute
from corelib.dynamo.layout import (
    INDEX,
    SENT,
    SHARDS,
    Stream,
    due_text,
    entry_key,
    entry_of,
    instant,
    microseconds,
    sent_partition,
)
from corelib.history import Page, Past, Place, Selection

_PAGE = 250
_LAST = "9" * 20


class DynamoHistory:
    """Implements `History`. Keys that are named are looked up in the table, times in its index, a little behind it."""

    def __init__(self, client: Client, table: str) -> None:
        self._client = client
        self._table = table

    async def pages(self, selection: Selection, after: Place | None = None) -> AsyncIterator[Page]:
        """Yield pages in which a key's entries are in order; between keys there is none."""
        requests = self._requests(selection)
        number = after["request"] if after else 0
        start = after["start"] if after else None
        while number < len(requests):
            page = await self._client.call(
                "Query", **requests[number], **({"ExclusiveStartKey": start} if start else {})
            )
            start = page.get("LastEvaluatedKey")
            number += start is None
            pasts = map(_past, page["Items"])
            yield Page([past for past in pasts if selection.wants(past)], {"request": number, "start": start})

    def _requests(self, selection: Selection) -> list[dict[str, Any]]:
        """Return the queries whose pages, one after the other, hold everything that is meant, and more."""
        channels = sorted(selection.channels)
        if selection.keys:
            return [self._of_stream(stream) for stream in product(channels, sorted(selection.keys))]
        since = due_text(microseconds(selection.since) if selection.since else 0)
        until = due_text(microseconds(selection.until)) if selection.until else _LAST
        partitions = (sent_partition(channel, shard) for channel, shard in product(channels, range(SHARDS)))
        return [self._of_time(partition, since, until) for partition in partitions]

    def _of_stream(self, stream: Stream) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "ConsistentRead": True,
            "Limit": _PAGE,
            "KeyConditionExpression": "pk = :pk",
            "FilterExpression": "begins_with(#s, :sent)",
            "ExpressionAttributeNames": {"#s": "shard"},
            "ExpressionAttributeValues": {":pk": entry_key(stream, 0)["pk"], ":sent": {"S": SENT}},
        }

    def _of_time(self, partition: str, since: str, until: str) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "IndexName": INDEX,
            "Limit": _PAGE,
            "KeyConditionExpression": "#s = :s AND #d BETWEEN :since AND :until",
            "ExpressionAttributeNames": {"#s": "shard", "#d": "due"},
            "ExpressionAttributeValues": {
                ":s": {"S": partition},
                ":since": {"S": since},
                ":until": {"S": until},
            },
        }


def _past(item: Attribute) -> Past:
    entry = entry_of(item)
    return Past(entry.record, instant(entry.committed))
