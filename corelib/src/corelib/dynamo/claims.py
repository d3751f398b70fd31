"""One process at a time sends what waits in a parked queue."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

from botocore.exceptions import ClientError

from corelib.aws.trouble import code_of
from corelib.clock import Clock
from corelib.dynamo.client import Client
from corelib.dynamo.items import attribute
from corelib.dynamo.layout import microseconds
from corelib.dynamo.parked_items import claim_key
from corelib.store import CLAIM


class Claims:
    """Claims on queues: they end with their holder, or by themselves."""

    def __init__(self, client: Client, table: str, clock: Callable[[], Clock]) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    @asynccontextmanager
    async def held(self, handler: str, key: str) -> AsyncIterator[bool]:
        """Claim a queue during the block; gives False where it is claimed by somebody else."""
        claim = await self._make(handler, key)
        try:
            yield claim is not None
        finally:
            if claim is not None:
                await self._give_up(handler, key, claim)

    async def _make(self, handler: str, key: str) -> str | None:
        now, claim = self._clock().now(), uuid4().hex
        item = {
            **claim_key(handler, key),
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
                Key=claim_key(handler, key),
                ConditionExpression="#c = :c",
                ExpressionAttributeNames={"#c": "claim"},
                ExpressionAttributeValues={":c": attribute(claim)},
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
