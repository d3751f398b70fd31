"""The creation of declared tables on local machines and in tests; in the cloud Terraform creates them."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from corelib.aws.trouble import code_of
from corelib.documents import Index, Table
from corelib.dynamo.client import Client
from corelib.errors import Unavailable
from corelib.store import Change

_READY_SECONDS = 60.0
_POLL_SECONDS = 0.2
_STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}


def messaging(service: str, *, stream: bool = True) -> Table:
    """Return the system table of a service: outbox, marks, timers, leases, parked records."""
    due = Index("due", "shard", "due")
    return Table(f"{service}-messaging", "pk", "sk", (due,), ttl="expires_at", stream=stream)


async def missing(client: Client, table: Table) -> Sequence[Change]:
    """Return the calls by which `provision` would create a table, or add what it lacks."""
    name = f"{client.aws.prefix}{table.name}"
    try:
        description = (await client.call("DescribeTable", TableName=name))["Table"]
    except Unavailable as error:
        if not isinstance(error.__cause__, ClientError) or code_of(error.__cause__) != "ResourceNotFoundException":
            raise
        changes = [_change(f"table {name}", "CreateTable", _definition(name, table))]
        return [*changes, *([_expiry(name, table.ttl)] if table.ttl else [])]
    present = {index["IndexName"] for index in description.get("GlobalSecondaryIndexes", ())}
    lacking = [index for index in table.indexes if index.name not in present]
    changes = [_change(f"index {index.name} of {name}", "UpdateTable", _addition(name, index)) for index in lacking]
    if table.stream and not _streams(description):
        changes.append(_change(f"stream of {name}", "UpdateTable", {"TableName": name, "StreamSpecification": _STREAM}))
    if table.ttl is not None and not await _expires(client, name):
        changes.append(_expiry(name, table.ttl))
    return changes


def _expiry(name: str, attribute: str) -> Change:
    setting = {"Enabled": True, "AttributeName": attribute}
    return _change(f"expiry of {name}", "UpdateTimeToLive", {"TableName": name, "TimeToLiveSpecification": setting})


def _change(summary: str, operation: str, params: dict[str, Any]) -> Change:
    return Change(summary, f"{operation} {json.dumps(params, indent=2)}")


async def provision(client: Client, table: Table) -> None:
    """Create a table, or add the indexes, the stream and the expiry it lacks; idempotent."""
    name = f"{client.aws.prefix}{table.name}"
    try:
        await client.call("CreateTable", **_definition(name, table))
    except ClientError as error:
        if code_of(error) != "ResourceInUseException":
            raise
    description = await _ready(client, name)
    present = {index["IndexName"] for index in description.get("GlobalSecondaryIndexes", ())}
    for index in table.indexes:
        if index.name not in present:
            await _add_index(client, name, index)
    if table.stream and not _streams(description):
        await client.call("UpdateTable", TableName=name, StreamSpecification=_STREAM)
        await _ready(client, name)
    if table.ttl is not None:
        await _expire(client, name, table.ttl)


def _definition(name: str, table: Table) -> dict[str, Any]:
    attributes = {*table.keys, *(part for index in table.indexes for part in (index.key, index.sort) if part)}
    definition: dict[str, Any] = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": _schema(table.key, table.sort),
        "AttributeDefinitions": _strings(attributes),
    }
    if table.indexes:
        definition["GlobalSecondaryIndexes"] = [_index(index) for index in table.indexes]
    if table.stream:
        definition["StreamSpecification"] = _STREAM
    return definition


def _schema(key: str, sort: str | None) -> list[dict[str, str]]:
    schema = [{"AttributeName": key, "KeyType": "HASH"}]
    return schema if sort is None else [*schema, {"AttributeName": sort, "KeyType": "RANGE"}]


def _strings(names: set[str]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": "S"} for name in sorted(names)]


def _index(index: Index) -> dict[str, Any]:
    return {
        "IndexName": index.name,
        "KeySchema": _schema(index.key, index.sort),
        "Projection": {"ProjectionType": "ALL"},
    }


def _addition(name: str, index: Index) -> dict[str, Any]:
    names = {index.key} if index.sort is None else {index.key, index.sort}
    return {
        "TableName": name,
        "AttributeDefinitions": _strings(names),
        "GlobalSecondaryIndexUpdates": [{"Create": _index(index)}],
    }


def _streams(description: dict[str, Any]) -> bool:
    return bool(description.get("StreamSpecification", {}).get("StreamEnabled"))


async def _add_index(client: Client, name: str, index: Index) -> None:
    await client.call("UpdateTable", **_addition(name, index))
    await _ready(client, name)


async def _expire(client: Client, name: str, attribute: str) -> None:
    if not await _expires(client, name):
        setting = {"Enabled": True, "AttributeName": attribute}
        await client.call("UpdateTimeToLive", TableName=name, TimeToLiveSpecification=setting)


async def _expires(client: Client, name: str) -> bool:
    answer = await client.call("DescribeTimeToLive", TableName=name)
    return answer["TimeToLiveDescription"].get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}


async def _ready(client: Client, name: str) -> dict[str, Any]:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        description: dict[str, Any] = (await client.call("DescribeTable", TableName=name))["Table"]
        states = {index["IndexStatus"] for index in description.get("GlobalSecondaryIndexes", ())}
        if {description["TableStatus"], *states} == {"ACTIVE"}:
            return description
        if time.monotonic() > deadline:
            raise Unavailable("dynamodb", f"table {name} is not active after {_READY_SECONDS:.0f} s")
        await asyncio.sleep(_POLL_SECONDS)
