"""`make bench-timers`: whether timers that are not due yet cost anything, and how late those that are due fire.

Looks for due timers, and transactions that schedule one, beside none and beside a million pending ones; then timers
that fall due one after another beside the million, fired by the part that every service runs.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from statistics import quantiles

import asyncpg

from bench.frame import Aim, Bench, Contender, Figure, postgres, throughput
from bench.shop import SOLD, Sold, sold
from corelib import logs
from corelib.clock import SystemClock
from corelib.postgres.store import Postgres
from corelib.timers import Timers
from corelib.transaction import Origin

_LIMIT = 100
_CONNECTIONS = 8
_LATER = timedelta(days=1)
_DUE_SECONDS = 5.0
_FIRED_SECONDS = 30
NONE, MANY = "none pending", "many pending"

_FILL = """
INSERT INTO {schema}.timer (id, due, channels, keys, headers, payloads)
SELECT gen_random_uuid(), now() + interval '1 day' + n * interval '1 second', ARRAY['{channel}'], ARRAY['order-' || n],
       ARRAY['[]'::json], ARRAY[convert_to(repeat('x', 256), 'UTF8')]
FROM generate_series(1, {pending}) AS n
"""
_STATE = """
SELECT n_live_tup AS pending, n_dead_tup AS dead, pg_total_relation_size(relid) AS bytes
FROM pg_stat_all_tables WHERE schemaname = $1 AND relname = 'timer'
"""
_FIRED = "SELECT key, written FROM outbox_0 WHERE key LIKE 'due-%'"


@dataclass
class Pending:
    """A store with so many timers that are due in days."""

    dsn: str
    schema: str
    pending: int
    store: Postgres = field(init=False)
    numbers: "count[int]" = field(default_factory=count)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Pending"]:
        """Provision, fill, open."""
        self.store = Postgres(self.dsn, schema=self.schema, pool_size=_CONNECTIONS)
        await self.store.provision()
        connection = await asyncpg.connect(self.dsn)
        statement = _FILL.format(schema=self.schema, channel=SOLD.name, pending=self.pending)
        await connection.execute(statement, timeout=3600)
        await connection.execute("VACUUM ANALYZE", timeout=3600)
        await connection.execute("CHECKPOINT", timeout=3600)
        await connection.close()
        await self.store.open(Origin("bench", SystemClock(), frozenset({Sold})))
        yield self
        await self.store.close()

    async def look(self) -> None:
        """Look for due timers: there are none."""
        if await self.store.fire(_LIMIT):
            raise RuntimeError("a timer fired before its time")

    async def schedule(self) -> None:
        """Commit a timer and nothing else."""
        number = next(self.numbers)
        async with self.store.transaction() as tx:
            tx.schedule(sold(f"later-{number}", number), at=datetime.now(UTC) + _LATER)

    async def lateness(self, timers: int) -> list[float]:
        """Return by how many milliseconds each of some timers was late, which fall due evenly over some seconds."""
        begin = datetime.now(UTC) + timedelta(seconds=1)
        due = [begin + timedelta(seconds=_DUE_SECONDS * number / timers) for number in range(timers)]
        async with self.store.transaction() as tx:
            for number, at in enumerate(due):
                tx.schedule(sold(f"due-{number}", number), at=at)
        stop = asyncio.Event()
        firing = asyncio.create_task(Timers(self.store).run(stop))
        try:
            async with asyncio.timeout(_DUE_SECONDS + _FIRED_SECONDS):
                while len(fired := await self.store.fetch(_FIRED)) < timers:  # noqa: ASYNC110 -- rows have no event
                    await asyncio.sleep(0.1)
        finally:
            stop.set()
            await firing
        return [(row["written"] - due[int(row["key"].partition("-")[2])]).total_seconds() * 1_000 for row in fired]


async def run(bench: Bench) -> Figure:
    """Look and schedule beside none and many, in turn; then let some fall due."""
    logs.configure(service="bench", level="warning", form="text")
    pending, seconds, rounds, timers = (200_000, 0.5, 6, 200) if bench.quick else (1_000_000, 1.0, 20, 1_000)
    async with postgres(bench) as dsn:
        bench.say(f"writing {pending:,} timers")
        async with Pending(dsn, "none", 0).opened() as none, Pending(dsn, "many", pending).opened() as many:
            contenders: dict[str, Contender] = {}
            for name, store in ((NONE, none), (MANY, many)):
                contenders[f"a look, {name}"] = throughput(store.look, seconds=seconds, at_once=1)
                contenders[f"scheduling, {name}"] = throughput(store.schedule, seconds=seconds, at_once=_CONNECTIONS)
            for contend in contenders.values():
                await contend()  # connections and caches
            samples = await bench.interleaved(contenders, rounds=rounds, unit="a second")
            bench.say(f"letting {timers:,} timers fall due")
            late = await many.lateness(timers)
            [state] = await many.store.fetch(_STATE, many.schema)
    return Figure(
        title=f"Timers beside none and beside {pending:,} that are pending",
        unit="a second",
        ours=samples,
        aims=[Aim(f"{kind}, {MANY}", over=f"{kind}, {NONE}", at_least=0.9) for kind in ("a look", "scheduling")],
        notes={"pending": state["pending"], "late_ms": _summary(late), "bytes": state["bytes"], "dead": state["dead"]},
    )


def _summary(late: Sequence[float]) -> dict[str, float]:
    cuts = quantiles(late, n=100)
    return {
        "least": round(min(late), 1),
        "p50": round(cuts[49], 1),
        "p99": round(cuts[98], 1),
        "most": round(max(late), 1),
    }
