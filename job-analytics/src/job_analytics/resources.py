"""What the job needs around it: topics, a bucket, a table; opened, and created where `SOUK_PROVISION` says so."""

import asyncio
from collections.abc import Sequence
from typing import Any

import boto3
from botocore.config import Config
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from contracts import channels
from corelib.aws.clients import Bucket as BucketResource
from corelib.kafka.broker import Kafka
from job_analytics.settings import AnalyticsSettings
from job_analytics.sinks import BUCKET, SCHEMA, TABLE, Bucket, Sink, Table, Topic

_CHANNELS = (channels.ORDERS, channels.ANALYTICS_RESULTS, channels.ANALYTICS_PARKED)


def sinks(settings: AnalyticsSettings) -> Sequence[Sink]:
    """Return where results go."""
    return (
        Topic(Kafka(settings.kafka(), prefix=settings.kafka_prefix)),
        Bucket(_s3(settings), f"{settings.aws_prefix}{BUCKET}"),
        Table(bigquery_client(settings), table_name(settings)),
    )


def table_name(settings: AnalyticsSettings) -> str:
    """Return project.dataset.table of the results."""
    return f"{settings.bigquery_project}.{settings.bigquery_dataset}.{TABLE}"


def provision(settings: AnalyticsSettings) -> None:
    """Create what is missing; idempotent."""
    asyncio.run(_provision_aws_and_kafka(settings))
    client = bigquery_client(settings)
    dataset = bigquery.Dataset(f"{settings.bigquery_project}.{settings.bigquery_dataset}")
    client.create_dataset(dataset, exists_ok=True)
    table = bigquery.Table(dataset.table(TABLE), schema=SCHEMA)
    table.time_partitioning = bigquery.TimePartitioning(field="window_start")
    client.create_table(table, exists_ok=True)


async def _provision_aws_and_kafka(settings: AnalyticsSettings) -> None:
    await Kafka(settings.kafka(), prefix=settings.kafka_prefix).provision(_CHANNELS)
    bucket = BucketResource(settings.aws(), BUCKET)
    await bucket.open()
    try:
        await bucket.provision()
    finally:
        await bucket.close()


def _s3(settings: AnalyticsSettings) -> Any:
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 5},
        s3={"addressing_style": "path" if settings.aws_endpoint_url else "auto"},
    )
    return boto3.client(
        "s3", region_name=settings.aws_region, endpoint_url=settings.aws_endpoint_url or None, config=config
    )


def bigquery_client(settings: AnalyticsSettings) -> bigquery.Client:
    """Return a client of Google's BigQuery, or of the emulator that the settings name."""
    if not settings.bigquery_url:
        return bigquery.Client(project=settings.bigquery_project)
    return bigquery.Client(
        project=settings.bigquery_project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]  # google-auth has no types
        client_options={"api_endpoint": settings.bigquery_url},
    )
