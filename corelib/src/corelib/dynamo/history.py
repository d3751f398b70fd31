"""What a system table still has of the outbox entries that were delivered, until they expire."""

from collections.abc import AsyncIterator
from itertools import product
from typing import Any

from corelib.dynamo.client import Client
from corelib.dynamo.items import Attribute
from corelib.dynamo.layout import due_text, entry_key, entry_of, instant, microseconds
from corelib.history import Page, Past, Place, Selection

_PAGE = 250
# An entry has a body, as a stream's head has not; without `shard` it is delivered.
_DELIVERED = "attribute_exists(#body) AND attribute_not_exists(#shard)"
_NAMES = {"#body": "body", "#shard": "shard"}


class DynamoHistory:
    """Implements `History`. Keys that are named are looked up; without, the whole table is scanned once."""

    def __init__(self, client: Client, table: str) -> None:
        self._client = client
        self._table = table

    async def pages(self, selection: Selection, after: Place | None = None) -> AsyncIterator[Page]:
        """Yield pages in which a key's entries are in order; between keys there is none."""
        requests = self._requests(selection)
        number = after["request"] if after else 0
        start = after["start"] if after else None
        while number < len(requests):
            operation, params = requests[number]
            page = await self._client.call(operation, **params, **({"ExclusiveStartKey": start} if start else {}))
            start = page.get("LastEvaluatedKey")
            number += start is None
            pasts = map(_past, page["Items"])
            yield Page([past for past in pasts if selection.wants(past)], {"request": number, "start": start})

    def _requests(self, selection: Selection) -> list[tuple[str, dict[str, Any]]]:
        """Return the operations whose pages, one after the other, hold everything that is meant, and more."""
        condition, names, values = _DELIVERED, dict(_NAMES), dict[str, Any]()
        if selection.since:
            condition, names["#due"] = f"{condition} AND #due >= :since", "due"
            values[":since"] = {"S": due_text(microseconds(selection.since))}
        common = {
            "TableName": self._table,
            "ConsistentRead": True,
            "Limit": _PAGE,
            "FilterExpression": condition,
            "ExpressionAttributeNames": names,
        }
        if not selection.keys:
            values[":out"] = {"S": "out#"}
            scan = {"FilterExpression": f"begins_with(pk, :out) AND {condition}", "ExpressionAttributeValues": values}
            return [("Scan", {**common, **scan})]
        streams = product(sorted(selection.channels), sorted(selection.keys))
        return [
            (
                "Query",
                {
                    **common,
                    "KeyConditionExpression": "pk = :pk",
                    "ExpressionAttributeValues": {**values, ":pk": entry_key(stream, 0)["pk"]},
                },
            )
            for stream in streams
        ]


def _past(item: Attribute) -> Past:
    entry = entry_of(item)
    return Past(entry.record, instant(entry.committed))
