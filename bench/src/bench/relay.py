"""`make bench-relay`: how fast an outbox full of events reaches Kafka, beside Debezium and the claim loop."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg

from bench import debezium, filling
from bench.cpu import Meter
from bench.frame import Aim, Bench, Contender, Figure
from bench.program import program
from bench.shop import SOLD
from bench.watching import Filled, drop_topic, make_topic, require_exactly, until_filled
from devstack.parts import kafka_server, postgres_server

_CLAIM_ROWS = 4_000
EXACTLY_ONCE, PLAIN = "corelib, exactly once", "corelib, plain"
DEBEZIUM_ONCE, DEBEZIUM_PLAIN = "Debezium, exactly once", "Debezium, plain"
LOOP = "claim, send, delete"


@dataclass
class Drains:
    """Fills an outbox, lets a contender drain it, and tells how fast that went."""

    bench: Bench
    dsn: str
    bootstrap: str
    events: int
    connection: asyncpg.Connection
    memory_mb: dict[str, float] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter)
    _numbers: Any = field(default_factory=count)

    async def ours(self, name: str, *, exactly_once: bool) -> float:
        """Drain with `corelib relay`."""
        schema = f"ours{next(self._numbers)}"
        topic = f"{schema}-{SOLD.name}"
        await filling.fill_ours(self.connection, self.dsn, schema, self.events)
        await make_topic(self.bootstrap, topic)
        command = (str(Path(sys.executable).with_name("corelib")), "--app", "bench.shop:build", "relay", "--port", "0")
        env = {
            "SOUK_POSTGRES_DSN": self.dsn,
            "SOUK_KAFKA_BOOTSTRAP": self.bootstrap,
            "SOUK_KAFKA_PREFIX": f"{schema}-",
            "SOUK_OUTBOX_SCHEMA": schema,
            "SOUK_EXACTLY_ONCE": str(exactly_once),
            "SOUK_LOG_LEVEL": "warning",
        }
        filled = await self._drain(name, command, env, topic)
        await require_exactly(self.bootstrap, topic, self.events)
        await self._clear(schema, topic)
        return filled.rate

    async def loop(self, name: str) -> float:
        """Drain with the claim loop."""
        schema = f"loop{next(self._numbers)}"
        topic = f"{schema}-{SOLD.name}"
        await filling.make_peer(self.connection, schema)
        await filling.fill_peer(self.connection, schema, self.events)
        await self.connection.execute(f"VACUUM ANALYZE {schema}.outbox", timeout=600)
        await make_topic(self.bootstrap, topic)
        env = {
            "SOUK_POSTGRES_DSN": self.dsn,
            "SOUK_KAFKA_BOOTSTRAP": self.bootstrap,
            "BENCH_SCHEMA": schema,
            "BENCH_TOPIC": topic,
            "BENCH_CLAIM": str(_CLAIM_ROWS),
        }
        filled = await self._drain(name, (sys.executable, "-m", "bench.claim_loop"), env, topic)
        await self._clear(schema, topic)
        return filled.rate

    async def debezium(self, name: str, worker: debezium.Worker) -> float:
        """Drain with Debezium, whose slot is there before the events are."""
        schema = f"debezium{next(self._numbers)}"
        topic = f"{schema}-{SOLD.name}"
        await filling.make_peer(self.connection, schema)
        await debezium.make_slot(self.connection, schema)
        await filling.fill_peer(self.connection, schema, self.events)
        await make_topic(self.bootstrap, topic)
        await worker.start(schema, debezium.connector(self.dsn, schema, topic))
        process = worker.process
        filled = await until_filled(self.bootstrap, topic, self.events, process.pid, process.alive)
        self._remember(name, filled)
        await worker.stop(schema)
        await debezium.drop_slot(self.connection, schema)
        await self._clear(schema, topic)
        return filled.rate

    async def _drain(self, name: str, command: Sequence[str], env: dict[str, str], topic: str) -> Filled:
        async with program(command, env, self.bench.work / f"{topic}.log") as process:
            filled = await until_filled(self.bootstrap, topic, self.events, process.pid, process.alive)
        self._remember(name, filled)
        return filled

    def _remember(self, name: str, filled: Filled) -> None:
        self.meter.count(name, filled.cpu_before, filled.cpu_after, filled.events)
        self.memory_mb[name] = round(max(self.memory_mb.get(name, 0.0), filled.peak_mb))

    async def _clear(self, schema: str, topic: str) -> None:
        await drop_topic(self.bootstrap, topic)
        await self.connection.execute(f"DROP SCHEMA {schema} CASCADE")


async def run(bench: Bench) -> Figure:
    """Drain the same events five ways, in turn."""
    events, rounds = (200_000, 1) if bench.quick else (1_000_000, 2)
    async with _servers(bench) as (dsn, bootstrap):
        connection = await asyncpg.connect(dsn)
        bench.say(f"making {events:,} events")
        await filling.make_template(connection, events)
        drains = Drains(bench, dsn, bootstrap, events, connection)
        async with (
            debezium.worker(bootstrap, bench.work, "connect-once", exactly_once=True) as once,
            debezium.worker(bootstrap, bench.work, "connect-plain", exactly_once=False) as plain,
        ):
            samples = await bench.interleaved(_contenders(drains, once, plain), rounds=rounds, unit="events/s")
        await connection.close()
    notes = {"peak_memory_mb": drains.memory_mb, "cpu_us_an_event": drains.meter.costs()}
    return _figure({name: list(values) for name, values in samples.items()}, notes, events)


def _contenders(drains: Drains, once: debezium.Worker, plain: debezium.Worker) -> dict[str, Contender]:
    return {
        EXACTLY_ONCE: lambda: drains.ours(EXACTLY_ONCE, exactly_once=True),
        PLAIN: lambda: drains.ours(PLAIN, exactly_once=False),
        DEBEZIUM_ONCE: lambda: drains.debezium(DEBEZIUM_ONCE, once),
        DEBEZIUM_PLAIN: lambda: drains.debezium(DEBEZIUM_PLAIN, plain),
        LOOP: lambda: drains.loop(LOOP),
    }


def _figure(samples: dict[str, list[float]], notes: dict[str, Any], events: int) -> Figure:
    return Figure(
        title=f"Drain {events:,} events of 256 bytes from PostgreSQL to Kafka, acks=all",
        unit="events/s",
        ours={name: samples[name] for name in (EXACTLY_ONCE, PLAIN)},
        peers={name: samples[name] for name in (DEBEZIUM_ONCE, DEBEZIUM_PLAIN, LOOP)},
        aims=[
            Aim(EXACTLY_ONCE, at_least=250_000),
            Aim(EXACTLY_ONCE, over=DEBEZIUM_ONCE, at_least=4),
            Aim(PLAIN, over=DEBEZIUM_PLAIN, at_least=2.5),
            Aim(EXACTLY_ONCE, over=LOOP, at_least=5),
        ],
        notes=notes,
    )


@asynccontextmanager
async def _servers(bench: Bench) -> AsyncIterator[tuple[str, str]]:
    server = postgres_server(bench.work / "postgres")
    async with server as dsn, kafka_server(bench.work / "kafka") as bootstrap:
        connection = await asyncpg.connect(dsn)
        await connection.execute("ALTER SYSTEM SET wal_level = logical")  # for Debezium
        await connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
        await connection.close()
        await server.stack.restart("postgres")
        yield dsn, bootstrap
