"""The real handler on the emulator: each mail once, failures alone come again."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import boto3
import pytest

from fn_notify import handler
from fn_notify.deploy import SENDER, deploy

REGION = "ap-south-1"


def message(**changes: Any) -> dict[str, Any]:
    body = {"order_id": str(uuid4()), "email": "ann@example.com", "total": {"amount": 1234, "currency": "USD"}}
    attributes = {"ce_type": "souk.order.confirmed.v1", "ce_id": str(uuid4()), **changes.pop("attributes", {})}
    return {
        "messageId": str(uuid4()),
        "body": changes.get("raw", json.dumps(body | changes)),
        "messageAttributes": {name: {"stringValue": value} for name, value in attributes.items()},
    }


@pytest.fixture(scope="module")
def prefix(aws_endpoint: str) -> str:
    prefix = f"t{uuid4().hex[:10]}-"
    deploy(aws_endpoint, prefix, REGION)
    deploy(aws_endpoint, prefix, REGION)  # idempotent
    return prefix


@pytest.fixture
def deployed(aws_endpoint: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {
        "AWS_ENDPOINT_URL": aws_endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "NOTIFICATIONS_TABLE": f"{prefix}notifications",
        "NOTIFY_SENDER": SENDER,
    }.items():
        monkeypatch.setenv(name, value)
    handler._client.cache_clear()
    yield boto3.client("dynamodb", endpoint_url=aws_endpoint, region_name=REGION)
    handler._client.cache_clear()


def handled(*messages: dict[str, Any]) -> list[str]:
    failures = handler.handle({"Records": list(messages)}, None)["batchItemFailures"]
    return [failure["itemIdentifier"] for failure in failures]


def record_of(database: Any, prefix: str, message: dict[str, Any]) -> dict[str, Any] | None:
    key = {"notification_id": {"S": message["messageAttributes"]["ce_id"]["stringValue"]}}
    found: dict[str, Any] | None = database.get_item(TableName=f"{prefix}notifications", Key=key).get("Item")
    return found


def mails(endpoint: str, order_id: str) -> int:
    with urlopen(f"{endpoint}/_ministack/ses/messages") as answer:  # noqa: S310 -- the emulator's own page of mails
        page: str = answer.read().decode()
        return page.count(f'Your order {order_id} is confirmed"')


def test_a_confirmed_order_is_told_once_however_often_it_comes(deployed: Any, prefix: str, aws_endpoint: str) -> None:
    told = message()
    order_id = json.loads(told["body"])["order_id"]
    assert handled(told, told) == []
    assert handled(told) == []
    assert mails(aws_endpoint, order_id) == 1
    record = record_of(deployed, prefix, told)
    assert record is not None
    assert (record["state"]["S"], record["order_id"]["S"]) == ("sent", order_id)


@pytest.mark.parametrize(
    "bad",
    [
        message(raw="{"),
        message(raw="[]"),
        message(total={"amount": "much"}),
        message(attributes={"ce_type": "souk.order.placed.v1"}),
        message(attributes={"ce_id": ""}),
    ],
)
def test_a_message_that_cannot_be_read_comes_again_alone(deployed: Any, prefix: str, bad: dict[str, Any]) -> None:
    good = message()
    assert handled(bad, good) == [bad["messageId"]]
    record = record_of(deployed, prefix, good)
    assert record is not None
    assert record["state"]["S"] == "sent"


def test_what_another_invocation_has_in_hand_comes_again(deployed: Any, prefix: str) -> None:
    told = message()
    notification = handler.read(told)
    assert handler._claim(notification)
    assert handled(told) == [told["messageId"]]
    # Its holder died: the claim has run out.
    deployed.update_item(
        TableName=f"{prefix}notifications",
        Key={"notification_id": {"S": notification.id}},
        UpdateExpression="SET claimed_until = :past",
        ExpressionAttributeValues={":past": {"N": "1"}},
    )
    assert handled(told) == []
