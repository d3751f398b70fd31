"""Where the operations of operators are kept on DynamoDB: one partition, in order of ids and so of time.

What an item has no room for, a large event that was skipped, lies in parts. They need no transaction: an operation is
written by whoever does it, its parts before its item, and each time with what they had.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import orjson
from botocore.exceptions import ClientError

from corelib.aws.trouble import code_of
from corelib.dynamo.client import Client
from corelib.dynamo.items import Attribute, attribute
from corelib.dynamo.layout import key_of
from corelib.dynamo.parts import ROOM, joined, parts_of
from corelib.operation import Operation, Run, lost

_PARTITION = "operation"
_NOBODY = {"S": "nobody"}


class DynamoOperations:
    """Implements `Operations`."""

    def __init__(self, client: Client, table: str) -> None:
        self._client = client
        self._table = table

    async def save(self, operation: Operation, *, over: UUID | None = None) -> None:
        """Write an operation, or how far it has come since. Raises `LeaseLost` where it is another run's."""
        item = _item(operation)
        progress = item["progress"]["S"].encode()
        if len(progress) > ROOM:
            parts = parts_of(_whole(item), progress)
            await self._client.write_all(self._table, [{"PutRequest": {"Item": part}} for part in parts])
            item = {**item, "progress": {"S": ""}, "parts": attribute(len(parts))}
        runs = {":own": item.get("run_id", _NOBODY), ":over": {"S": str(over)} if over else _NOBODY}
        try:
            await self._client.call(
                "PutItem",
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(run_id) OR run_id IN (:own, :over)",
                ExpressionAttributeValues=runs,
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            raise lost(operation) from error

    async def find(self, id: UUID) -> Operation | None:  # noqa: A002 -- the operation's own word
        """Return one, None where there is none."""
        key = key_of(_PARTITION, sort=str(id))
        answer = await self._client.call("GetItem", TableName=self._table, Key=key, ConsistentRead=True)
        return await self._operation(answer["Item"]) if "Item" in answer else None

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
        return [await self._operation(item) async for page in pages for item in page["Items"]]

    async def _operation(self, item: Attribute) -> Operation:
        count = item.pop("parts", None)
        if count is not None:
            progress = await joined(self._client, self._table, _whole(item), int(count["N"]))
            item["progress"] = {"S": (progress or b"{}").decode()}
        return _operation(item)


def _item(operation: Operation) -> Attribute:
    texts = {
        "kind": operation.kind,
        "who": operation.who,
        "reason": operation.reason,
        "details": orjson.dumps(operation.details).decode(),
        "began": operation.began.isoformat(),
        "progress": orjson.dumps(operation.progress).decode(),
        **({"ended": operation.ended.isoformat()} if operation.ended else {}),
        **({"run": operation.run.model_dump_json(), "run_id": str(operation.run.id)} if operation.run else {}),
    }
    return {**key_of(_PARTITION, sort=str(operation.id)), **{name: {"S": text} for name, text in texts.items()}}


def _whole(item: Attribute) -> str:
    # Each run has parts of its own: they are written before it is known whether the item may be.
    return "#".join((_PARTITION, item["sk"]["S"], *(item[name]["S"] for name in ("run_id",) if name in item)))


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
        run=Run.model_validate_json(texts["run"]) if "run" in texts else None,
    )
