"""BigQuery from bqemulator (DuckDB), in an environment of its own."""

import shutil
from pathlib import Path

from devstack import environments, tool
from devstack.errors import FetchFailed
from devstack.part import Part, http
from devstack.settings import HOST, StackSettings

ENVIRONMENT = "bqemulator"
PROJECT = "souk-local"


def bigquery(settings: StackSettings) -> Part:
    """Describe the emulator."""
    data = settings.home.resolve() / "data" / "bigquery"
    environment = environments.environment(ENVIRONMENT, settings.cache)
    rest = ("--rest-host", HOST, "--rest-port", str(settings.bigquery_port))
    grpc = ("--grpc-host", HOST, "--grpc-port", str(settings.bigquery_grpc_port))
    store = ("--persistent", "--data-dir", str(data), "--project", PROJECT)
    return Part(
        name="bigquery",
        command=(str(environment / "bin" / "python"), "-m", "bqemulator", "start", *rest, *grpc, *store),
        ready=http(f"{settings.bigquery_url}/readyz"),
        url=settings.bigquery_url,
        env={
            # DuckDB looks for its extensions in the home of its user.
            "HOME": str(environment / "home"),
            "TMPDIR": str(data / "tmp"),
            # Else it would fetch one more from a server of DuckDB's at each start.
            "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false",
        },
        ports={
            "SOUK_BIGQUERY_PORT": settings.bigquery_port,
            "SOUK_BIGQUERY_GRPC_PORT": settings.bigquery_grpc_port,
        },
        prepare=lambda: _prepare(settings, data),
    )


async def _prepare(settings: StackSettings, data: Path) -> None:
    (data / "tmp").mkdir(parents=True, exist_ok=True)
    await environments.ensure(ENVIRONMENT, settings.cache, _bring_spatial_extension)


async def _bring_spatial_extension(environment: Path) -> None:
    """DuckDB would fetch it from a server of its own at the first start; here it comes with the lock."""
    question = "import duckdb; print(duckdb.execute('PRAGMA platform').fetchone()[0])"
    platform = (await tool.run((str(environment / "bin" / "python"), "-c", question))).strip()
    for extensions in environment.glob("lib/python*/site-packages/duckdb_extension_spatial/extensions/v*"):
        target = environment / "home" / ".duckdb" / "extensions" / extensions.name / platform
        shutil.copytree(extensions, target)
        return
    raise FetchFailed("The package duckdb-extension-spatial brought no extension.")
