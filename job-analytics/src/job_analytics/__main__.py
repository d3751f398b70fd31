"""`python -m job_analytics`: streams until SIGTERM or the first failure; the next start goes on where it stopped."""

import argparse
import signal
import sys
import threading

import structlog
from prometheus_client import start_http_server
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from corelib import logs
from corelib.config import load, printable
from corelib.errors import CorelibError, SettingsError
from job_analytics import resources
from job_analytics.job import session, start
from job_analytics.metrics import Progress
from job_analytics.settings import AnalyticsSettings

_LOOK_SECONDS = 0.5

log = structlog.get_logger(__name__)


def main() -> int:
    """Return the exit code: 0 after SIGTERM, 1 when a query failed, 2 for wrong settings."""
    options = _parser().parse_args()
    try:
        settings = load(AnalyticsSettings)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- a command line speaks
        return 2
    if options.print_config:
        print(printable(settings))  # noqa: T201 -- what was asked for
        return 0
    logs.configure(service="analytics", level=settings.log_level, form=settings.log_format)
    try:
        return _run(settings)
    except CorelibError as error:
        log.error("cannot start", reason=str(error))  # noqa: TRY400 -- a missing dependency is no bug of ours
        return 1


def _run(settings: AnalyticsSettings) -> int:
    if settings.port:
        start_http_server(settings.port, settings.host)
    if settings.provision:
        resources.provision(settings)
    spark = session(settings)
    spark.sparkContext.setLogLevel("WARN")
    spark.streams.addListener(Progress())
    queries = start(spark, settings, resources.sinks(settings))
    if settings.ready_file:
        settings.ready_file.touch()
    log.info("the queries run", checkpoints=settings.checkpoint_dir)
    return _until_stopped(spark, queries)


def _until_stopped(spark: SparkSession, queries: list[StreamingQuery]) -> int:
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    while not asked.wait(_LOOK_SECONDS) and all(query.isActive for query in queries):
        pass
    failures = [failure for query in queries if (failure := _failure(query))]
    for failure in failures:
        log.error("a query failed", reason=str(failure)[:2_000])
    if not failures:
        for query in queries:
            query.stop()
    spark.stop()
    return 1 if failures else 0


def _failure(query: StreamingQuery) -> PySparkException | None:
    return None if query.isActive else query.exception()


def _parser() -> argparse.ArgumentParser:
    variables = "\n".join(
        f"  SOUK_{name.upper():24} {field.description or ''} [{'required' if field.is_required() else field.default}]"
        for name, field in AnalyticsSettings.model_fields.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m job_analytics",
        description="Counts confirmed orders, revenue and buyers by minute: topic, S3, BigQuery.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"variables:\n{variables}",
    )
    parser.add_argument("--print-config", action="store_true", help="print the settings, secrets masked, and exit")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
