"""What the job can be told; each field is the variable `SOUK_<NAME>`."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from corelib.config import ServiceSettings


class AnalyticsSettings(ServiceSettings):
    """Settings of the analytics job; `port` serves its metrics, 0 serves none."""

    port: int = Field(default=0, ge=0, le=65_535, description="Where /metrics answers; 0 is nowhere.")
    bigquery_url: str | None = Field(default=None, description="An emulator's address; empty is Google itself.")
    bigquery_project: str = "souk-local"
    bigquery_dataset: str = "analytics"
    spark_master: str = Field(default="local[2]", description="Empty where spark-submit says it.")
    spark_jars: str = Field(default="", description="Jars of the Kafka connector; empty where the cluster has them.")
    spark_memory: str = Field(default="1g", pattern=r"^\d+[mg]$", description="Heap of the driver, e.g. 512m.")
    spark_java_options: str = Field(default="", description="Options of the driver's JVM.")
    checkpoint_dir: str = Field(
        description="Where Spark keeps its progress: a folder, or a URL of the cluster's store."
    )
    trigger_seconds: float = Field(default=5.0, gt=0, description="Pause between two batches.")
    watermark_minutes: int = Field(
        default=30, gt=0, description="How late a confirmation may be; longer than an order's deadline."
    )
    ready_file: Path | None = Field(default=None, description="Created once the queries run.")

    @property
    def watermark(self) -> timedelta:
        """How long a minute stays open after the latest order seen."""
        return timedelta(minutes=self.watermark_minutes)
