"""One door to DynamoDB: names an operation, translates outages, follows pages and unprocessed items."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from corelib.aws.clients import Aws, backoff
from corelib.aws.trouble import Refusals
from corelib.aws.wire import DYNAMODB, wire
from corelib.errors import Unavailable

MAX_BATCH_WRITE = 25
_BATCH_ATTEMPTS = 8


class Client:
    """Calls DynamoDB's operations by name. Every call raises `Unavailable` when there is no answer in time."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.refusals = Refusals("dynamodb")

    async def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """Call one operation by its name in the protocol, e.g. `call("GetItem", TableName=..., Key=...)`."""
        with self.refusals.reaching(operation):
            return await (await wire(self.aws, DYNAMODB)).call(operation, params)

    async def server_time(self) -> datetime | None:
        """Return the time by DynamoDB's own clock, to a second; None before its first answer."""
        return (await wire(self.aws, DYNAMODB)).server_time()

    async def pages(self, operation: str, **params: Any) -> AsyncIterator[dict[str, Any]]:
        """Yield each page of a query or scan."""
        while True:
            page = await self.call(operation, **params)
            yield page
            if not (start := page.get("LastEvaluatedKey")):
                return
            params["ExclusiveStartKey"] = start

    async def write_all(self, table: str, requests: Sequence[dict[str, Any]]) -> None:
        """Write any number of put and delete requests, each to another item, in no order, not atomically."""
        chunks = [requests[at : at + MAX_BATCH_WRITE] for at in range(0, len(requests), MAX_BATCH_WRITE)]
        await asyncio.gather(*(self._write_chunk(table, chunk) for chunk in chunks))

    async def _write_chunk(self, table: str, chunk: Sequence[dict[str, Any]]) -> None:
        left: dict[str, Any] = {table: list(chunk)}
        for attempt in range(_BATCH_ATTEMPTS):
            left = (await self.call("BatchWriteItem", RequestItems=left)).get("UnprocessedItems") or {}
            if not left:
                return
            await backoff(attempt)
        raise Unavailable("dynamodb", f"{len(left[table])} items stayed unprocessed")
