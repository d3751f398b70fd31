"""Reads, and writes outside transactions, of a service's own tables; items are plain dicts."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from corelib.aws.clients import backoff
from corelib.documents import Catalog, Item, Table
from corelib.dynamo.client import Client
from corelib.dynamo.items import attribute, pack, unpack
from corelib.errors import Unavailable

_MAX_BATCH_GET = 100
_BATCH_ATTEMPTS = 8


class Documents:
    """The tables a service declared. Every call raises `Unavailable` when DynamoDB does not answer."""

    def __init__(self, client: Client, catalog: Catalog) -> None:
        self._client = client
        self._catalog = catalog

    async def get(self, table: Table | str, key: Mapping[str, Any], *, consistent: bool = True) -> Item | None:
        """Return an item, or None."""
        found = self._catalog.find(table)
        answer = await self._client.call(
            "GetItem",
            TableName=self._catalog.physical(found),
            Key=pack(found.key_of(key)),
            ConsistentRead=consistent,
        )
        return unpack(answer["Item"]) if "Item" in answer else None

    async def get_many(
        self, table: Table | str, keys: Sequence[Mapping[str, Any]], *, consistent: bool = True
    ) -> list[Item]:
        """Return the items that exist, in no order; the keys must differ."""
        found = self._catalog.find(table)
        typed = [pack(found.key_of(key)) for key in keys]
        chunks = [typed[at : at + _MAX_BATCH_GET] for at in range(0, len(typed), _MAX_BATCH_GET)]
        name = self._catalog.physical(found)
        answers = await asyncio.gather(*(self._get_chunk(name, chunk, consistent=consistent) for chunk in chunks))
        return [item for answer in answers for item in answer]

    async def query(
        self,
        table: Table | str,
        *,
        key: Mapping[str, Any],
        index: str | None = None,
        limit: int | None = None,
        start: Item | None = None,
        forward: bool = True,
    ) -> tuple[list[Item], Item | None]:
        """Return a page of the items with these key values, and where the next page starts (None at the end).

        Consistent on the table itself; an index follows a little later.
        """
        found = self._catalog.find(table)
        names = {f"#{number}": name for number, name in enumerate(key)}
        params: dict[str, Any] = {
            "TableName": self._catalog.physical(found),
            "KeyConditionExpression": " AND ".join(f"{alias} = :{alias[1:]}" for alias in names),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {f":{alias[1:]}": attribute(key[name]) for alias, name in names.items()},
            "ScanIndexForward": forward,
        }
        params |= {"IndexName": index} if index else {"ConsistentRead": True}
        params |= {"Limit": limit} if limit else {}
        params |= {"ExclusiveStartKey": pack(start)} if start else {}
        page = await self._client.call("Query", **params)
        following = page.get("LastEvaluatedKey")
        return [unpack(item) for item in page["Items"]], unpack(following) if following else None

    async def scan(self, table: Table | str) -> AsyncIterator[Item]:
        """Yield every item, consistently read; for audits and exports, not for requests."""
        name = self._catalog.physical(self._catalog.find(table))
        async for page in self._client.pages("Scan", TableName=name, ConsistentRead=True):
            for item in page["Items"]:
                yield unpack(item)

    async def put(self, table: Table | str, item: Item) -> None:
        """Write an item outside any transaction: for what publishes nothing, such as sessions."""
        name = self._catalog.physical(self._catalog.find(table))
        await self._client.call("PutItem", TableName=name, Item=pack(item))

    async def delete(self, table: Table | str, key: Mapping[str, Any]) -> None:
        """Remove an item outside any transaction; a missing one is no error."""
        found = self._catalog.find(table)
        name = self._catalog.physical(found)
        await self._client.call("DeleteItem", TableName=name, Key=pack(found.key_of(key)))

    async def _get_chunk(self, name: str, keys: list[Any], *, consistent: bool) -> list[Item]:
        items: list[Item] = []
        left: dict[str, Any] = {name: {"Keys": keys, "ConsistentRead": consistent}}
        for attempt in range(_BATCH_ATTEMPTS):
            answer = await self._client.call("BatchGetItem", RequestItems=left)
            items += [unpack(item) for item in answer["Responses"].get(name, ())]
            left = answer.get("UnprocessedKeys") or {}
            if not left:
                return items
            await backoff(attempt)
        raise Unavailable("dynamodb", f"{len(left)} keys stayed unprocessed")
