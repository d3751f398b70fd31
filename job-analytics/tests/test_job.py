"""The streaming job on real Kafka, S3 and BigQuery: stopped in the middle, started again, nothing counted twice."""

import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3
import pytest
from aiokafka import AIOKafkaConsumer
from google.cloud import bigquery
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from contracts import channels
from contracts.analytics import OrderWindow
from contracts.money import Money
from contracts.orders import OrderConfirmed
from corelib.kafka.broker import Kafka
from corelib.message import Envelope, Record
from job_analytics import resources
from job_analytics.job import start
from job_analytics.settings import AnalyticsSettings
from job_analytics.sinks import BUCKET

NOW = datetime.now(UTC).replace(second=5, microsecond=0)
pytestmark = pytest.mark.timeout(180)


def confirmed(user: int, *, amount: int, placed_at: datetime = NOW) -> Record:
    event = OrderConfirmed(
        order_id=uuid4(), user_id=f"00000000-0000-0000-0000-00000000000{user}", email="buyer@example.com",
        total=Money(amount=amount, currency="USD"), placed_at=placed_at, confirmed_at=NOW,
    )  # fmt: skip
    envelope = Envelope(uuid4(), event.type, "test", NOW, event.key)
    return envelope.record(channels.ORDERS.name, event.model_dump_json().encode())


@pytest.fixture(scope="session")
def provisioned(settings: AnalyticsSettings) -> AnalyticsSettings:
    resources.provision(settings)
    resources.provision(settings)  # idempotent
    return settings


@pytest.fixture
async def broker(provisioned: AnalyticsSettings) -> AsyncIterator[Kafka]:
    kafka = Kafka(provisioned.kafka_bootstrap, prefix=provisioned.kafka_prefix)
    await kafka.open()
    yield kafka
    await kafka.close()


def objects(settings: AnalyticsSettings) -> list[OrderWindow]:
    s3 = boto3.client("s3", endpoint_url=settings.aws_endpoint_url, region_name=settings.aws_region)
    bucket = f"{settings.aws_prefix}{BUCKET}"
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    return sorted((OrderWindow.model_validate_json(body) for body in bodies), key=lambda window: window.window_start)


def rows(settings: AnalyticsSettings) -> list[dict[str, Any]]:
    table = resources.table_name(settings)
    client: bigquery.Client = resources.bigquery_client(settings)
    found = client.query_and_wait(f"SELECT * FROM `{table}` ORDER BY window_start")
    return [{**row, "revenue": json.loads(row["revenue"])} for row in found]


async def taken(settings: AnalyticsSettings, channel: str, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(
        f"{settings.kafka_prefix}{channel}", bootstrap_servers=settings.kafka_bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


def until(queries: list[StreamingQuery], reached: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        for query in queries:
            assert query.isActive, query.exception()
        assert time.monotonic() < deadline, "not reached in time"
        queries[0].processAllAvailable()


async def test_results_are_exact_in_every_sink_over_a_restart(
    spark: SparkSession, provisioned: AnalyticsSettings, broker: Kafka
) -> None:
    settings = provisioned
    before = NOW - timedelta(minutes=1)
    twice = confirmed(1, amount=100)
    broken = Record(channels.ORDERS.name, "k", twice.headers, b"{")
    assert all(await broker.send([twice, confirmed(2, amount=50, placed_at=before), broken, twice]))
    queries = start(spark, settings, resources.sinks(settings))
    until(queries, lambda: len(objects(settings)) == 2)
    for query in queries:
        query.stop()

    assert all(await broker.send([confirmed(1, amount=7), confirmed(2, amount=1), twice]))
    queries = start(spark, settings, resources.sinks(settings))
    until(queries, lambda: objects(settings)[-1].orders == 3)
    for query in queries:
        query.stop()

    first, second = objects(settings)
    minute = NOW.replace(second=0)
    assert (first.window_start, first.orders, first.users, first.revenue) == (
        minute - timedelta(minutes=1), 1, 1, {"USD": 50},
    )  # fmt: skip
    assert (second.window_start, second.orders, second.users, second.revenue) == (minute, 3, 2, {"USD": 108})
    assert rows(settings) == [window.model_dump() for window in (first, second)]
    assert await last_results(settings) == [first, second]
    assert await parked_reason(settings) == b"no order_id"


async def last_results(settings: AnalyticsSettings) -> list[OrderWindow]:
    """What a consumer of the compacted topic ends with."""
    latest: dict[datetime, OrderWindow] = {}
    for message in await taken(settings, channels.ANALYTICS_RESULTS.name, 3):
        record = Record("", message.key.decode(), tuple((k, v.decode()) for k, v in message.headers), message.value)
        assert Envelope.of(record).type == OrderWindow.type
        window = OrderWindow.model_validate_json(message.value)
        latest[window.window_start] = window
    return [latest[start] for start in sorted(latest)]


async def parked_reason(settings: AnalyticsSettings) -> bytes:
    (message,) = await taken(settings, channels.ANALYTICS_PARKED.name, 1)
    assert message.value == b"{"
    return bytes(dict(message.headers)["parked_reason"])
