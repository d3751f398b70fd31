"""What the job tells Prometheus, taken from Spark's own progress reports."""

from prometheus_client import Counter, Gauge
from pyspark.sql.streaming.listener import (
    QueryIdleEvent,
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryListener,
)

ROWS = Counter("analytics_rows_total", "Records read from Kafka.", ["query"])
DROPPED = Counter("analytics_rows_dropped_total", "Orders behind the watermark: not counted.", ["query"])
BATCH_SECONDS = Gauge("analytics_batch_seconds", "How long the last batch took.", ["query"])
STATE_ROWS = Gauge("analytics_state_rows", "Minutes that are still open.", ["query"])
RUNNING = Gauge("analytics_query_running", "1 while the query runs.", ["query"])


class Progress(StreamingQueryListener):
    """Turns progress reports into metrics."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def onQueryStarted(self, event: QueryStartedEvent) -> None:  # noqa: N802 -- Spark's name
        """Note that a query runs."""
        self._names[str(event.id)] = event.name or ""
        RUNNING.labels(event.name or "").set(1)

    def onQueryProgress(self, event: QueryProgressEvent) -> None:  # noqa: N802 -- Spark's name
        """Take the figures of a batch."""
        progress = event.progress
        query = progress.name or ""
        ROWS.labels(query).inc(progress.numInputRows)
        BATCH_SECONDS.labels(query).set(progress.batchDuration / 1_000)
        for operator in progress.stateOperators:
            STATE_ROWS.labels(query).set(operator.numRowsTotal)
            DROPPED.labels(query).inc(operator.numRowsDroppedByWatermark)

    def onQueryIdle(self, event: QueryIdleEvent) -> None:  # noqa: N802 -- Spark's name
        """Nothing new came: nothing to say."""

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:  # noqa: N802 -- Spark's name
        """Note that a query ended."""
        RUNNING.labels(self._names.get(str(event.id), "")).set(0)
