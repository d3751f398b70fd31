"""Where the operations of operators are kept on DynamoDB: one partition, in order of ids and so of time."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import orjson

from corelib.dynamo.client import Client
from corelib.dynamo.items import Attribute
from corelib.dynamo.layout import key_of
from corelib.operation import Operation

_PARTITION = "operation"


class DynamoOperations:
    """Implements `Operations`."""

    def __init__(self, client: Client, table: str) -> None:
        self._client = client
        self._table = table

    async def save(self, operation: Operation) -> None:
        """Write an operation, or how far it has come since."""
        await self._client.call("PutItem", TableName=self._table, Item=_item(operation))

    async def find(self, id: UUID) -> Operation | None:  # noqa: A002 -- the operation's own word
        """Return one, None where there is none."""
        key = key_of(_PARTITION, sort=str(id))
        answer = await self._client.call("GetItem", TableName=self._table, Key=key, ConsistentRead=True)
        return _operation(answer["Item"]) if "Item" in answer else None

    async def list(self) -> Sequence[Operation]:
        """Return all, the latest first."""
        pages = self._client.pages(
            "Query",
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": _PARTITION}},
            ScanIndexForward=False,
            ConsistentRead=True,
        )
        return [_operation(item) async for page in pages for item in page["Items"]]


def _item(operation: Operation) -> Attribute:
    texts = {
        "kind": operation.kind,
        "who": operation.who,
        "reason": operation.reason,
        "details": orjson.dumps(operation.details).decode(),
        "began": operation.began.isoformat(),
        "progress": orjson.dumps(operation.progress).decode(),
        **({"ended": operation.ended.isoformat()} if operation.ended else {}),
    }
    return {**key_of(_PARTITION, sort=str(operation.id)), **{name: {"S": text} for name, text in texts.items()}}


def _operation(item: Attribute) -> Operation:
    texts = {name: typed["S"] for name, typed in item.items()}
    return Operation(
        id=UUID(texts["sk"]),
        kind=texts["kind"],
        who=texts["who"],
        reason=texts["reason"],
        details=orjson.loads(texts["details"]),
        began=datetime.fromisoformat(texts["began"]),
        progress=orjson.loads(texts["progress"]),
        ended=datetime.fromisoformat(texts["ended"]) if "ended" in texts else None,
    )
