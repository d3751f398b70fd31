"""Where results go: topic, S3 and BigQuery. Spark may repeat a batch after a restart, so each write is an upsert."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import NAMESPACE_URL, uuid5

from google.cloud import bigquery
from pyspark.sql import DataFrame

from contracts import channels
from contracts.analytics import OrderWindow
from corelib.errors import Unavailable
from corelib.kafka.broker import Kafka
from corelib.kafka.cluster import Cluster
from corelib.message import Envelope, Record
from job_analytics.kafka import kafka_options

SOURCE = "souk/analytics"
BUCKET = "analytics-results"
TABLE = "order_windows"

SCHEMA = (
    bigquery.SchemaField("window_start", "TIMESTAMP", mode="REQUIRED"),
    bigquery.SchemaField("window_end", "TIMESTAMP", mode="REQUIRED"),
    bigquery.SchemaField("orders", "INT64", mode="REQUIRED"),
    bigquery.SchemaField("users", "INT64", mode="REQUIRED"),
    bigquery.SchemaField("revenue", "STRING", mode="REQUIRED", description="JSON: minor units by currency."),
)

# -- upsert_window -- the latest result of a minute replaces the one before.
_UPSERT = """
MERGE `{table}` AS known
USING (SELECT @window_start AS window_start, @window_end AS window_end, @orders AS orders, @users AS users,
              @revenue AS revenue) AS latest
ON known.window_start = latest.window_start
WHEN MATCHED THEN UPDATE SET window_end = latest.window_end, orders = latest.orders, users = latest.users,
                             revenue = latest.revenue
WHEN NOT MATCHED THEN INSERT (window_start, window_end, orders, users, revenue)
                      VALUES (latest.window_start, latest.window_end, latest.orders, latest.users, latest.revenue)
"""


class Sink(Protocol):
    """Takes the minutes that changed in a batch; a repetition changes nothing."""

    def write(self, minutes: Sequence[OrderWindow]) -> None:
        """Store all, or raise."""


@dataclass(frozen=True)
class Topic:
    """Writes CloudEvents to Kafka; their id comes from the content, so that a repetition has the same one."""

    kafka: Kafka

    def write(self, minutes: Sequence[OrderWindow]) -> None:
        """Send all and wait for the broker. Raises `Unavailable`."""
        # Not through Spark: a handful of rows would start Python workers for nothing.
        asyncio.run(self._send([_record(minute) for minute in minutes]))

    async def _send(self, records: Sequence[Record]) -> None:
        await self.kafka.open()
        try:
            if not all(await self.kafka.send(records)):
                raise Unavailable(self.kafka.name, "not every result was acknowledged")
        finally:
            await self.kafka.close()


@dataclass(frozen=True)
class Bucket:
    """Writes an object a minute to S3."""

    s3: Any
    name: str

    def write(self, minutes: Sequence[OrderWindow]) -> None:
        """Put all."""
        for minute in minutes:
            self.s3.put_object(
                Bucket=self.name,
                Key=object_key(minute),
                Body=minute.model_dump_json().encode(),
                ContentType="application/json",
            )


@dataclass(frozen=True)
class Table:
    """Merges into a BigQuery table; `name` is project.dataset.table."""

    client: bigquery.Client
    name: str

    def write(self, minutes: Sequence[OrderWindow]) -> None:
        """Merge all."""
        for minute in minutes:
            self.client.query_and_wait(
                _UPSERT.format(table=self.name),
                job_config=bigquery.QueryJobConfig(query_parameters=_parameters(minute)),
            )


def to_topic(records: DataFrame, cluster: Cluster, topic: str) -> None:
    """Write the columns key, value and headers to a topic, acknowledged by all replicas."""
    records.write.format("kafka").options(
        **kafka_options(cluster), topic=topic, includeHeaders="true", **{"kafka.acks": "all"}
    ).save()


def object_key(minute: OrderWindow) -> str:
    """Return where a minute lies in the bucket: by date, as query engines like it."""
    return minute.window_start.astimezone(UTC).strftime("order-windows/date=%Y-%m-%d/%H-%M.json")


def _record(minute: OrderWindow) -> Record:
    body = minute.model_dump_json()
    envelope = Envelope(
        id=uuid5(NAMESPACE_URL, body), type=minute.type, source=SOURCE, time=datetime.now(UTC), key=minute.key
    )
    return envelope.record(channels.ANALYTICS_RESULTS.name, body.encode())


def _parameters(minute: OrderWindow) -> list[bigquery.ScalarQueryParameter]:
    return [
        bigquery.ScalarQueryParameter("window_start", "TIMESTAMP", minute.window_start),
        bigquery.ScalarQueryParameter("window_end", "TIMESTAMP", minute.window_end),
        bigquery.ScalarQueryParameter("orders", "INT64", minute.orders),
        bigquery.ScalarQueryParameter("users", "INT64", minute.users),
        bigquery.ScalarQueryParameter("revenue", "STRING", json.dumps(minute.revenue, sort_keys=True)),
    ]
