"""`make bench-backlog`: whether a relay minds how much waits, or who else keeps a transaction open.

Each contender relays the first events of an outbox and is stopped; only what waits behind and beside them differs.
"""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from bench import filling
from bench.frame import Aim, Bench, Figure, postgres_and_kafka
from bench.program import program
from bench.shop import SOLD
from bench.watching import drop_topic, make_topic, until_filled

FEW, MANY = "little waits", "much waits"
HERE, ELSEWHERE = "a transaction left open", "one left open in another database"
_DEAD = (
    "SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_all_tables WHERE schemaname = $1 AND relname LIKE 'outbox\\__'"
)

Beside = Callable[[], AbstractAsyncContextManager[None]]


@dataclass
class Backlogs:
    """Fills an outbox and relays its first events."""

    bench: Bench
    dsn: str
    bootstrap: str
    connection: asyncpg.Connection
    relayed: int
    peak_mb: dict[str, float] = field(default_factory=dict)
    dead_tuples: int = 0
    _numbers: Any = field(default_factory=count)

    async def relay(self, name: str, waiting: int, beside: Beside) -> float:
        """Return the rate of the first events of `waiting`, while `beside` goes on."""
        schema = f"backlog{next(self._numbers)}"
        topic = f"{schema}-{SOLD.name}"
        async with beside():
            await filling.fill_ours(self.connection, self.dsn, schema, self.relayed, copies=waiting // self.relayed)
            await make_topic(self.bootstrap, topic)
            command = (
                str(Path(sys.executable).with_name("corelib")),
                "--app",
                "bench.shop:build",
                "relay",
                "--port",
                "0",
            )
            env = {
                "SOUK_POSTGRES_DSN": self.dsn,
                "SOUK_KAFKA_BOOTSTRAP": self.bootstrap,
                "SOUK_KAFKA_PREFIX": f"{schema}-",
                "SOUK_OUTBOX_SCHEMA": schema,
                "SOUK_LOG_LEVEL": "warning",
            }
            async with program(command, env, self.bench.work / f"{topic}.log") as relay:
                filled = await until_filled(
                    self.bootstrap, topic, self.relayed, relay.pid, relay.alive, to_the_end=False
                )
        self.peak_mb[name] = round(max(self.peak_mb.get(name, 0.0), filled.peak_mb))
        self.dead_tuples = max(self.dead_tuples, await self.connection.fetchval(_DEAD, schema))
        await drop_topic(self.bootstrap, topic)
        await self.connection.execute(f"DROP SCHEMA {schema} CASCADE")
        return filled.rate


async def run(bench: Bench) -> Figure:
    """Relay the same events with little and much behind them, and beside transactions left open."""
    relayed, many, rounds = (50_000, 500_000, 2) if bench.quick else (200_000, 10_000_000, 3)
    async with postgres_and_kafka(bench) as (dsn, bootstrap):
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE DATABASE elsewhere")
        await filling.make_template(connection, relayed)
        backlogs = Backlogs(bench, dsn, bootstrap, connection, relayed)
        elsewhere = urlsplit(dsn)._replace(path="/elsewhere").geturl()
        samples = await bench.interleaved(
            {
                FEW: lambda: backlogs.relay(FEW, relayed, _nothing),
                MANY: lambda: backlogs.relay(MANY, many, _nothing),
                HERE: lambda: backlogs.relay(HERE, relayed, lambda: _left_open(dsn)),
                ELSEWHERE: lambda: backlogs.relay(ELSEWHERE, relayed, lambda: _left_open(elsewhere)),
            },
            rounds=rounds,
            unit="events/s",
        )
        await connection.close()
    return Figure(
        title=f"The first {relayed:,} events of {relayed:,} and of {many:,} that wait",
        unit="events/s",
        ours=samples,
        aims=[Aim(name, over=FEW, at_least=0.9) for name in (MANY, HERE, ELSEWHERE)],
        notes={"peak_memory_mb": backlogs.peak_mb, "dead_tuples": backlogs.dead_tuples},
    )


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def _left_open(dsn: str) -> AsyncIterator[None]:
    """Keep a transaction open that has written something."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("BEGIN; CREATE TABLE left_open (); SELECT pg_current_xact_id()")
        yield
    finally:
        await connection.close()
