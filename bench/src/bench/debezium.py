"""Debezium 3.7 with its EventRouter in Kafka Connect 4.1, at its best settings: the peer that most would take instead.

There is a worker for each mode, since exactly-once is a setting of the worker; both are warm before they are measured.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg

from bench.program import Program, program
from bench.watching import make_topic
from devstack import jars
from devstack.java import java
from devstack.settings import HOST, StackSettings, free_ports

_CONNECT = Path(__file__).with_name("connect-jars.sha256")
_DEBEZIUM = Path(__file__).with_name("debezium-jars.sha256")
_LOGGING = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.metrics.name = io.debezium.metrics
logger.metrics.level = off
"""
_HEADERS = (
    "ce_specversion:header:ce_specversion,type:header:ce_type,ce_source:header:ce_source,ce_time:header:ce_time,"
    "content_type:header:content-type"
)
_START_SECONDS = 90.0


@dataclass(frozen=True)
class Worker:
    """A running Connect worker."""

    url: str
    process: Program

    async def start(self, name: str, configuration: dict[str, Any]) -> None:
        """Start a connector."""
        async with aiohttp.ClientSession() as session:
            answer = await session.put(f"{self.url}/connectors/{name}/config", json=configuration)
            if not answer.ok:
                raise RuntimeError(f"Connect refused the connector: {await answer.text()}")

    async def stop(self, name: str) -> None:
        """Delete a connector."""
        async with aiohttp.ClientSession() as session:
            await session.delete(f"{self.url}/connectors/{name}")


@asynccontextmanager
async def worker(bootstrap: str, work: Path, name: str, *, exactly_once: bool) -> AsyncIterator[Worker]:
    """Run a worker."""
    cache = StackSettings().cache
    connect, plugin = await jars.fetch("connect", _CONNECT, cache), await jars.fetch("debezium", _DEBEZIUM, cache)
    plugins = work / "plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    if not (plugins / "debezium").exists():
        (plugins / "debezium").symlink_to(plugin)
    port = free_ports(1)[0]
    settings, logging = work / f"{name}.properties", work / "log4j2.properties"
    values = _worker(bootstrap, name, port, plugins, exactly_once=exactly_once)
    settings.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    logging.write_text(_LOGGING)
    for part in ("offsets", "configs", "status"):
        await make_topic(bootstrap, f"{name}-{part}", 1, **{"cleanup.policy": "compact"})
    command = (
        java(), "-Xms1g", "-Xmx2g", "-XX:+UseParallelGC", f"-Dlog4j2.configurationFile={logging}",
        "-cp", f"{connect}/*", "org.apache.kafka.connect.cli.ConnectDistributed", str(settings),
    )  # fmt: skip
    async with program(command, {}, work / f"{name}.log") as process:
        url = f"http://{HOST}:{port}"
        await _until_serving(url, process)
        yield Worker(url, process)


def _worker(bootstrap: str, name: str, port: int, plugins: Path, *, exactly_once: bool) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "group.id": name,
        "listeners": f"http://{HOST}:{port}",
        "plugin.path": plugins,
        "plugin.discovery": "hybrid_warn",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "io.debezium.converters.BinaryDataConverter",
        "exactly.once.source.support": "enabled" if exactly_once else "disabled",
        "connector.client.config.override.policy": "All",
        "offset.flush.interval.ms": 5_000,
        **{f"{kind}.storage.topic": f"{name}-{topic}"
           for kind, topic in (("offset", "offsets"), ("config", "configs"), ("status", "status"))},
        **{f"{kind}.storage.replication.factor": 1 for kind in ("offset", "config", "status")},
    }  # fmt: skip


def connector(dsn: str, schema: str, topic: str) -> dict[str, Any]:
    """Return the configuration of the outbox's connector; its slot and publication are made by `make_slot`."""
    where = urlsplit(dsn)
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": 1,
        "plugin.name": "pgoutput",
        "database.hostname": where.hostname,
        "database.port": where.port,
        "database.user": where.username,
        "database.password": where.password,
        "database.dbname": where.path.lstrip("/"),
        "topic.prefix": schema,
        "table.include.list": f"{schema}.outbox",
        "slot.name": schema,
        "publication.name": schema,
        "publication.autocreate.mode": "disabled",
        "snapshot.mode": "no_data",
        "max.batch.size": 20_480,
        "max.queue.size": 81_920,
        "poll.interval.ms": 5,
        "producer.override.linger.ms": 10,
        "producer.override.batch.size": 512 * 1024,
        "producer.override.acks": "all",
        "transforms": "outbox",
        "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
        "transforms.outbox.table.fields.additional.placement": _HEADERS,
        "transforms.outbox.route.topic.regex": ".*",
        "transforms.outbox.route.topic.replacement": topic,
    }


async def make_slot(connection: asyncpg.Connection, schema: str) -> None:
    """Make what the connector reads from: everything written from now on."""
    await connection.execute(f"CREATE PUBLICATION {schema} FOR TABLE {schema}.outbox")
    await connection.execute("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", schema)


async def drop_slot(connection: asyncpg.Connection, schema: str) -> None:
    """Drop it, as soon as the connector has let go of it."""
    async with asyncio.timeout(60):
        while await connection.fetchval("SELECT active FROM pg_replication_slots WHERE slot_name = $1", schema):  # noqa: ASYNC110 -- the database has no event to wait for
            await asyncio.sleep(0.1)
    await connection.execute("SELECT pg_drop_replication_slot($1)", schema)
    await connection.execute(f"DROP PUBLICATION {schema}")


async def _until_serving(url: str, process: Program) -> None:
    async with asyncio.timeout(_START_SECONDS), aiohttp.ClientSession() as session:
        while process.alive():
            try:
                if (await session.get(f"{url}/connectors")).ok:
                    return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
    raise RuntimeError(f"Kafka Connect ended: see {process.log}")
