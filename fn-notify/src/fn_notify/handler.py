"""The Lambda behind the queue of notifications: one e-mail and one record for each confirmed order.

Each message is claimed by a conditional write before the mail goes out and marked `sent` after it. A repetition of a
sent one changes nothing; a claim whose holder died is taken over when it runs out. Between SES taking a mail and the
mark lies the one moment in which a crash can send a mail twice: SES has no idempotency key. What is
not handled goes back to the queue, alone (partial batch response), and after five times to the dead-letter queue.
"""

import json
import os
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import ClientError

_CLAIM_SECONDS = 30
_KEEP_SECONDS = 90 * 24 * 3600
_CONFIRMED = "souk.order.confirmed.v1"


@dataclass(frozen=True)
class Notification:
    """What is to be told to whom; `id` is the event's."""

    id: str
    order_id: str
    email: str
    total: int
    currency: str
    traceparent: str


def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Handle a batch; return the messages that must come again."""
    failures = []
    for record in event.get("Records", ()):
        try:
            _notify(read(record))
        except Exception as error:  # noqa: BLE001 -- the message goes back to the queue, its reason into the log
            _log("failed", message_id=record.get("messageId"), reason=repr(error))
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def read(record: dict[str, Any]) -> Notification:
    """Return the notification in an SQS record. Raises `ValueError` for one that is none."""
    attributes = {name: value.get("stringValue", "") for name, value in record.get("messageAttributes", {}).items()}
    if attributes.get("ce_type") != _CONFIRMED or not attributes.get("ce_id"):
        raise ValueError(f"not a {_CONFIRMED}: {attributes.get('ce_type')!r}")
    try:
        body = json.loads(record["body"])
        return Notification(
            id=attributes["ce_id"],
            order_id=body["order_id"],
            email=body["email"],
            total=int(body["total"]["amount"]),
            currency=body["total"]["currency"],
            traceparent=attributes.get("traceparent", ""),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the body is no {_CONFIRMED}: {error!r}") from error


class ClaimedElsewhere(Exception):
    """Raised while another invocation works on the same message; it comes again."""


def _notify(notification: Notification) -> None:
    if not _claim(notification):
        _log("repeated", notification)
        return
    answer = _client("ses").send_email(
        Source=os.environ["NOTIFY_SENDER"],
        Destination={"ToAddresses": [notification.email]},
        Message={
            "Subject": {"Data": f"Your order {notification.order_id} is confirmed"},
            "Body": {"Text": {"Data": _text(notification)}},
        },
    )
    _mark_sent(notification, answer["MessageId"])
    _log("sent", notification)


def _claim(notification: Notification) -> bool:
    """Return False when the mail was sent before. Raises `ClaimedElsewhere` while someone is at it."""
    now = int(time.time())
    item = {
        "notification_id": {"S": notification.id},
        "order_id": {"S": notification.order_id},
        "kind": {"S": "order-confirmed"},
        "email": {"S": notification.email},
        "state": {"S": "sending"},
        "claimed_until": {"N": str(now + _CLAIM_SECONDS)},
        "expires_at": {"N": str(now + _KEEP_SECONDS)},
    }
    try:
        _client("dynamodb").put_item(
            TableName=os.environ["NOTIFICATIONS_TABLE"],
            Item=item,
            ConditionExpression="attribute_not_exists(notification_id) OR (#s = :sending AND claimed_until < :now)",
            ExpressionAttributeNames={"#s": "state"},
            ExpressionAttributeValues={":sending": {"S": "sending"}, ":now": {"N": str(now)}},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        if _state(notification) == "sent":
            return False
        raise ClaimedElsewhere(notification.id) from error
    return True


def _state(notification: Notification) -> str:
    answer = _client("dynamodb").get_item(
        TableName=os.environ["NOTIFICATIONS_TABLE"],
        Key={"notification_id": {"S": notification.id}},
        ConsistentRead=True,
    )
    return str(answer["Item"]["state"]["S"]) if "Item" in answer else ""


def _mark_sent(notification: Notification, message_id: str) -> None:
    _client("dynamodb").update_item(
        TableName=os.environ["NOTIFICATIONS_TABLE"],
        Key={"notification_id": {"S": notification.id}},
        UpdateExpression="SET #s = :sent, message_id = :id, sent_at = :at",
        ExpressionAttributeNames={"#s": "state"},
        ExpressionAttributeValues={
            ":sent": {"S": "sent"},
            ":id": {"S": message_id},
            ":at": {"N": str(int(time.time()))},
        },
    )


def _text(notification: Notification) -> str:
    amount = f"{notification.total // 100}.{notification.total % 100:02d} {notification.currency}"
    return f"Thank you. Your order {notification.order_id} over {amount} is confirmed and on its way.\n"


def _log(outcome: str, notification: Notification | None = None, **more: object) -> None:
    line: dict[str, object] = {"event": "notification", "outcome": outcome, **more}
    if notification is not None:
        trace = notification.traceparent.split("-")
        line |= {"event_id": notification.id, "order_id": notification.order_id}
        line["trace_id"] = trace[1] if len(trace) > 1 else None
    print(json.dumps(line), flush=True)  # noqa: T201 -- standard output is a Lambda's log


@cache
def _client(service: str) -> Any:
    return boto3.client(service)  # type: ignore[call-overload]  # the name is a variable
