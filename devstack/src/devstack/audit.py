"""The audit: reads every store of a stack and proves that they agree. `devstack.invariants` has the rules."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
import asyncpg
from rich.console import Console

from contracts import channels
from corelib.aws.clients import Aws
from corelib.clock import SystemClock
from corelib.documents import Catalog, Table
from corelib.dynamo.client import Client
from corelib.dynamo.documents import Documents
from corelib.dynamo.layout import INDEX, SHARDS, out_partition
from corelib.dynamo.parking import Parking
from corelib.postgres.queries import SLOTS
from devstack.aws import credentials
from devstack.invariants import Entry, Order, Payment, Reservation, Snapshot, Stock, Window, findings
from devstack.mails import sent
from devstack.settings import StackSettings

_TABLES = (
    Table("orders", key="order_id"),
    Table("payments", key="order_id"),
    Table("notifications", key="notification_id"),
    Table("order-messaging", key="pk", sort="sk"),
    Table("payment-messaging", key="pk", sort="sk"),
)

# -- count_waiting -- records that the cursor of their relay does not cover.
_WAITING_IN_SLOT = """
(SELECT count(*) FROM {{schema}}.outbox_{slot} o, {{schema}}.outbox_cursor c
 WHERE (o.xid >= pg_snapshot_xmax(c.done) OR o.xid = ANY(ARRAY(SELECT pg_snapshot_xip(c.done))))
   AND NOT (c.tick IS NOT NULL AND pg_visible_in_snapshot(o.xid, c.tick) AND o.id <= c.tick_id))
"""
_WAITING = "SELECT " + " + ".join(_WAITING_IN_SLOT.format(slot=slot) for slot in SLOTS)
_PARKED = "SELECT handler, key, left(reason, 200) AS reason FROM {schema}.parked ORDER BY id"


@dataclass(frozen=True)
class Audit:
    """What was seen, and what of it does not agree."""

    findings: list[str]
    snapshot: Snapshot


async def audit(settings: StackSettings) -> Audit:
    """Read all stores and compare; at rest there are no findings, under load there are."""
    snapshot = Snapshot()
    async with _reading(settings) as (documents, aws):
        await asyncio.gather(
            _postgres(settings, snapshot),
            _orders(documents, snapshot),
            _payments(documents, snapshot),
            _notifications(documents, snapshot),
            _messaging(documents, snapshot, "order"),
            _messaging(documents, snapshot, "payment"),
            _parked(aws, snapshot, "order"),
            _parked(aws, snapshot, "payment"),
            _queues(aws, settings, snapshot),
            _documents(aws, settings, snapshot),
            _ledger(settings, snapshot),
            _emails(settings, snapshot),
        )
        if settings.analytics:
            snapshot.windows = await _windows(aws, settings)
    return Audit(findings(snapshot), snapshot)


def report(result: Audit, console: Console) -> int:
    """Print the result; return the exit code: 1 if anything was found."""
    snapshot = result.snapshot
    states = Counter(order.status for order in snapshot.orders.values())
    console.print(f"{len(snapshot.orders)} orders: {', '.join(f'{n} {state}' for state, n in sorted(states.items()))}")
    for finding in result.findings:
        console.print(f"  ! {finding}")
    console.print(f"{len(result.findings)} findings")
    return 1 if result.findings else 0


@asynccontextmanager
async def _reading(settings: StackSettings) -> AsyncIterator[tuple[Documents, Aws]]:
    keys = credentials(settings)
    aws = Aws(
        region=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url,
        prefix=settings.aws_prefix,
        access_key_id=keys["AWS_ACCESS_KEY_ID"],
        secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )
    await aws.open()
    try:
        yield Documents(Client(aws), Catalog(settings.aws_prefix, _TABLES)), aws
    finally:
        await aws.close()


async def _postgres(settings: StackSettings, snapshot: Snapshot) -> None:
    connection = await asyncpg.connect(settings.postgres_dsn)
    try:
        for row in await connection.fetch("SELECT * FROM products.stock"):
            snapshot.stock[row["product_id"]] = Stock(row["supplied"], row["on_hand"], row["reserved"])
        for row in await connection.fetch("SELECT * FROM products.reservation"):
            snapshot.reservations[str(row["order_id"])] = Reservation(row["status"], json.loads(row["lines"]))
        for schema in ("users", "products"):
            snapshot.waiting[f"the outbox of {schema}"] = await connection.fetchval(_WAITING.format(schema=schema))
            for row in await connection.fetch(_PARKED.format(schema=schema)):
                snapshot.parked.append(f"{row['handler']} {row['key']}: {row['reason']}")
    finally:
        await connection.close()


async def _orders(documents: Documents, snapshot: Snapshot) -> None:
    async for item in documents.scan("orders"):
        placed = datetime.fromisoformat(item["placed_at"]).replace(second=0, microsecond=0)
        snapshot.orders[item["order_id"]] = Order(
            status=item["status"],
            user_id=item["user_id"],
            total=item["total"],
            currency=item["currency"],
            lines={line["product_id"]: line["quantity"] for line in item["lines"]},
            minute=placed.isoformat(),
        )


async def _payments(documents: Documents, snapshot: Snapshot) -> None:
    async for item in documents.scan("payments"):
        snapshot.payments[item["order_id"]] = Payment(
            item["payment_id"], item["status"], item["refund"], item["amount"], item["currency"]
        )


async def _notifications(documents: Documents, snapshot: Snapshot) -> None:
    async for item in documents.scan("notifications"):
        snapshot.notifications[item["order_id"]] = item["state"]


async def _messaging(documents: Documents, snapshot: Snapshot, service: str) -> None:
    table = f"{service}-messaging"
    waiting = 0
    for channel in channels.ALL:
        for partition in (out_partition(channel.name, shard) for shard in range(SHARDS)):
            start: dict[str, Any] | None = None
            while True:
                page, start = await documents.query(table, index=INDEX, key={"shard": partition}, start=start)
                waiting += len(page)
                if start is None:
                    break
    snapshot.waiting[f"the outbox of {service}"] = waiting


async def _parked(aws: Aws, snapshot: Snapshot, service: str) -> None:
    parking = Parking(Client(aws), f"{aws.prefix}{service}-messaging", SystemClock)
    snapshot.parked += [f"{each.handler} {each.key}: {each.reason[:200]}" for each in await parking.queues()]


async def _queues(aws: Aws, settings: StackSettings, snapshot: Snapshot) -> None:
    sqs = await aws.client("sqs")
    for name in ("notifications", "notifications-dlq"):
        url = (await sqs.get_queue_url(QueueName=f"{settings.aws_prefix}{name}"))["QueueUrl"]
        wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)
        snapshot.waiting[f"the queue {name}"] = sum(int(count) for count in answer["Attributes"].values())


async def _documents(aws: Aws, settings: StackSettings, snapshot: Snapshot) -> None:
    async for key in _keys(aws, f"{settings.aws_prefix}order-documents"):
        snapshot.documents.add(key.removeprefix("orders/").removesuffix(".json"))


async def _windows(aws: Aws, settings: StackSettings) -> dict[str, Window]:
    s3 = await aws.client("s3")
    bucket = f"{settings.aws_prefix}analytics-results"
    windows = {}
    async for key in _keys(aws, bucket):
        answer = await s3.get_object(Bucket=bucket, Key=key)
        window = json.loads(await answer["Body"].read())
        start = datetime.fromisoformat(window["window_start"]).isoformat()
        windows[start] = Window(window["orders"], window["users"], window["revenue"])
    return windows


async def _keys(aws: Aws, bucket: str) -> AsyncIterator[str]:
    s3 = await aws.client("s3")
    async for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", ()):
            yield entry["Key"]


async def _ledger(settings: StackSettings, snapshot: Snapshot) -> None:
    for entry in (await _get(f"{settings.provider_url}/v1/ledger"))["entries"]:
        snapshot.ledger.append(Entry(entry["kind"], entry["reference"], entry["status"], entry["amount"]))


async def _emails(settings: StackSettings, snapshot: Snapshot) -> None:
    for mail in await sent(settings):
        words = str(mail.get("Subject", "")).split()
        if words[:2] == ["Your", "order"]:
            snapshot.emails[words[2]] += 1


async def _get(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        answer.raise_for_status()
        return await answer.json()
