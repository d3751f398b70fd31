"""The two streaming queries: confirmed orders into minutes, and what cannot be counted into a topic of its own."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.streaming.query import StreamingQuery

from contracts import channels
from contracts.analytics import OrderWindow
from job_analytics.kafka import kafka_options
from job_analytics.settings import AnalyticsSettings
from job_analytics.sinks import Sink, to_topic
from job_analytics.windows import by_minute, judged

_LOOPBACK = "127.0.0.1"

log = structlog.get_logger(__name__)


def session(settings: AnalyticsSettings) -> SparkSession:
    """Start Spark, or join the cluster that submitted us; a local one listens on loopback only."""
    builder = SparkSession.builder.appName("souk-analytics")
    options: dict[str, bool | float | int | str | None] = {
        "spark.master": settings.spark_master,
        "spark.driver.bindAddress": _LOOPBACK,
        "spark.driver.host": _LOOPBACK,
        "spark.driver.memory": settings.spark_memory,
        "spark.jars": settings.spark_jars,
        "spark.driver.extraJavaOptions": settings.spark_java_options,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        # A minute is one group: more tasks than cores only cost time.
        "spark.sql.shuffle.partitions": "2",
        # Each batch writes a file of each; nobody looks further back than this.
        "spark.sql.streaming.minBatchesToRetain": "20",
    }
    if settings.spark_master:
        builder = builder.config(map=options)
    return builder.getOrCreate()


def start(spark: SparkSession, settings: AnalyticsSettings, sinks: Sequence[Sink]) -> list[StreamingQuery]:
    """Start both queries where their checkpoints left off, or at the topic's first record."""
    records = judged(_orders(spark, settings), settings.watermark)
    counted = by_minute(records.filter(f.col("reason").isNull()), settings.watermark)
    refused = records.filter(f.col("reason").isNotNull()).select("key", "value", _with_reason().alias("headers"))
    parked = f"{settings.kafka_prefix}{channels.ANALYTICS_PARKED.name}"
    return [
        _query(settings, "minutes", counted, lambda batch, number: _write(batch, number, sinks), mode="update"),
        _query(
            settings,
            "parked",
            refused,
            lambda batch, _: to_topic(batch, settings.kafka(), parked),
            mode="append",
        ),
    ]


def _orders(spark: SparkSession, settings: AnalyticsSettings) -> DataFrame:
    options = {
        **kafka_options(settings.kafka()),
        "kafka.isolation.level": "read_committed",
        "subscribe": f"{settings.kafka_prefix}{channels.ORDERS.name}",
        "startingOffsets": "earliest",
        "includeHeaders": "true",
        "maxOffsetsPerTrigger": "200000",
    }
    return spark.readStream.format("kafka").options(**options).load()


def _query(
    settings: AnalyticsSettings, name: str, rows: DataFrame, write: Callable[[DataFrame, int], None], *, mode: str
) -> StreamingQuery:
    return (
        rows.writeStream.queryName(name)
        .outputMode(mode)
        .option("checkpointLocation", f"{settings.checkpoint_dir}/{name}")
        .trigger(processingTime=f"{settings.trigger_seconds} seconds")
        .foreachBatch(write)
        .start()
    )


def _write(batch: DataFrame, number: int, sinks: Sequence[Sink]) -> None:
    minutes = collected(batch)
    if not minutes:
        return
    for sink in sinks:
        sink.write(minutes)
    log.info("minutes written", batch=number, minutes=len(minutes), latest=minutes[-1].window_start.isoformat())


def collected(batch: DataFrame) -> list[OrderWindow]:
    """Return the rows of `by_minute` as events, in order of time."""
    # As seconds: collected timestamps would be naive, in the zone of this machine.
    rows = batch.withColumns({name: f.unix_seconds(name) for name in ("window_start", "window_end")}).collect()
    minutes = [
        OrderWindow(
            window_start=datetime.fromtimestamp(row.window_start, UTC),
            window_end=datetime.fromtimestamp(row.window_end, UTC),
            orders=row.orders,
            users=row.users,
            revenue=row.revenue,
        )
        for row in rows
    ]
    return sorted(minutes, key=lambda minute: minute.window_start)


def _with_reason() -> Column:
    said = f.struct(f.lit("parked_reason").alias("key"), f.col("reason").cast("binary").alias("value"))
    return f.concat(f.coalesce("headers", f.array().cast("array<struct<key:string,value:binary>>")), f.array(said))
