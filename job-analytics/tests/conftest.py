"""One Spark for all tests of the job: it takes seconds to start."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from job_analytics.job import session
from job_analytics.settings import AnalyticsSettings


@pytest.fixture(scope="session")
def settings(
    kafka_bootstrap: str,
    aws_endpoint: str,
    bigquery_url: str,
    spark_jars: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AnalyticsSettings:
    folder: Path = tmp_path_factory.mktemp("analytics")
    return AnalyticsSettings(
        kafka_bootstrap=kafka_bootstrap,
        kafka_prefix=f"{folder.name}-",
        aws_endpoint_url=aws_endpoint,
        aws_prefix=f"{folder.name}-".replace("_", "-"),
        bigquery_url=bigquery_url,
        bigquery_dataset=folder.name.replace("-", "_"),
        spark_jars=spark_jars,
        spark_java_options="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        checkpoint_dir=str(folder / "checkpoints"),
        trigger_seconds=0.2,
    )


@pytest.fixture(scope="session")
def spark(settings: AnalyticsSettings) -> Iterator[SparkSession]:
    with warnings.catch_warnings():
        # pyspark's own, about the pandas it finds; the job uses none.
        warnings.simplefilter("ignore")
        running = session(settings)
    running.sparkContext.setLogLevel("ERROR")
    yield running
    running.stop()
