"""`make bench-inbox`: whether the inbox minds how many marks it keeps (MARKS= says how many; 10 million otherwise).

Transactions that do nothing but write an event's mark, and deliveries of events that were handled before, beside few
marks and beside many, which lie evenly in the days that the inbox remembers. At last a day of the many is dropped.
"""

import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg
import psutil

from bench.frame import Aim, Bench, Contender, Figure, postgres, throughput
from corelib import logs
from corelib.clock import SystemClock
from corelib.errors import Duplicate
from corelib.ids import uuid7
from corelib.once import run_once
from corelib.postgres.inbox import Inbox
from corelib.postgres.inbox_queries import CREATE_INBOX_DAY
from corelib.postgres.pool import Pool
from corelib.postgres.store import Postgres
from corelib.transaction import Mark, Origin, Transaction

_CONNECTIONS = 8
_DAYS = 13
_FORGOTTEN = timedelta(days=30)
_SCOPE = "Bookkeeper.sold"
_BYTES = 220
_ORIGIN = Origin("bench", SystemClock(), frozenset())
FEW, MANY = "few marks", "many marks"

# UUIDv7s of a day: they ascend, as those of events do.
_ID = "0198c0de-{day:04x}-7000-8000-{number:012x}"
_FILL = """
INSERT INTO {schema}.inbox (day, scope, id)
SELECT '{date}', '{scope}', '0198c0de-{day:04x}-7000-8000-' || lpad(to_hex(n), 12, '0')
FROM generate_series(0, {last}) AS n
"""
_STATE = """
SELECT coalesce(sum(n_dead_tup), 0) AS dead, coalesce(sum(pg_total_relation_size(relid)), 0) AS bytes
FROM pg_stat_all_tables WHERE schemaname = $1 AND relname LIKE 'inbox\\__%'
"""


@dataclass
class Filled:
    """A store whose inbox has so many marks a day."""

    dsn: str
    schema: str
    a_day: int
    store: Postgres = field(init=False)
    today: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def open(self) -> None:
        """Provision, make the days, fill them."""
        self.store = Postgres(self.dsn, schema=self.schema, pool_size=_CONNECTIONS)
        await self.store.provision()
        await self.store.open(_ORIGIN)
        connection = await asyncpg.connect(self.dsn)
        for day in range(_DAYS):
            await run_once(self.store, _nothing, mark=Mark("bench", str(day), self._made(day)))
            await self.fill(connection, day, self._made(day))
        await connection.execute("VACUUM ANALYZE", timeout=3600)
        await connection.execute("CHECKPOINT", timeout=3600)
        await connection.close()

    async def fill(self, connection: asyncpg.Connection, day: int, made: datetime) -> None:
        """Write a day's marks."""
        date = made.date()
        statement = _FILL.format(schema=self.schema, date=date, scope=_SCOPE, day=day, last=self.a_day - 1)
        await connection.execute(statement, timeout=3600)

    def handled(self) -> Mark:
        """Return the mark of an event that was handled, on any of the days."""
        day = random.randrange(_DAYS)  # noqa: S311 -- a choice, not a secret
        number = random.randrange(self.a_day)  # noqa: S311 -- the same
        return Mark(_SCOPE, _ID.format(day=day, number=number), self._made(day))

    def new(self) -> Mark:
        """Return the mark of an event of now."""
        return Mark(_SCOPE, str(uuid7()), datetime.now(UTC))

    def _made(self, day: int) -> datetime:
        return self.today - timedelta(days=day)


async def _nothing(_: Transaction) -> None:
    return


async def run(bench: Bench) -> Figure:
    """Handle new events and old ones, beside few and many marks, in turn."""
    logs.configure(service="bench", level="warning", form="text")
    marks = int(os.environ.get("MARKS") or (200_000 if bench.quick else 10_000_000))
    _require_room(bench, marks)
    seconds, rounds = (0.5, 6) if bench.quick else (1.0, 20)
    async with postgres(bench) as dsn:
        few, many = Filled(dsn, "few", 100), Filled(dsn, "many", marks // _DAYS)
        for filled in (few, many):
            bench.say(f"{filled.schema}: writing {filled.a_day * _DAYS:,} marks")
            await filled.open()
        contenders: dict[str, Contender] = {}
        for name, filled in ((FEW, few), (MANY, many)):
            contenders[f"new events, {name}"] = _contender(filled.store, filled.new, seconds, repeated=False)
            contenders[f"repeated events, {name}"] = _contender(filled.store, filled.handled, seconds, repeated=True)
        for contend in contenders.values():
            await contend()  # connections and caches
        samples = await bench.interleaved(contenders, rounds=rounds, unit="events/s")
        notes = {"marks": {FEW: few.a_day * _DAYS, MANY: many.a_day * _DAYS}, **await _notes(many)}
        for filled in (few, many):
            await filled.store.close()
    return Figure(
        title=f"Events marked as handled beside {few.a_day * _DAYS:,} and beside {many.a_day * _DAYS:,} marks",
        unit="events/s",
        ours=samples,
        aims=[
            Aim(f"{kind}, {MANY}", over=f"{kind}, {FEW}", at_least=0.9) for kind in ("new events", "repeated events")
        ],
        notes=notes,
    )


def _require_room(bench: Bench, marks: int) -> None:
    free = psutil.disk_usage(str(bench.work)).free
    if free < marks * _BYTES:
        raise RuntimeError(
            f"{marks:,} marks want {marks * _BYTES / 2**30:.1f} GiB on disk: {free / 2**30:.1f} are free"
        )


def _contender(store: Postgres, mark: Callable[[], Mark], seconds: float, *, repeated: bool) -> Contender:
    return throughput(lambda: _deliver(store, mark(), repeated=repeated), seconds=seconds, at_once=_CONNECTIONS)


async def _deliver(store: Postgres, mark: Mark, *, repeated: bool) -> None:
    with suppress(Duplicate):
        await run_once(store, _nothing, mark=mark)
        if repeated:
            raise RuntimeError(f"{mark} was there and was not found")
        return
    if not repeated:
        raise RuntimeError(f"{mark} was not there and was found")


async def _notes(many: Filled) -> dict[str, object]:
    """Return what the tables are like, and how long it takes to drop a day of them that nobody asks for any more."""
    pool = Pool(many.dsn, schema=many.schema, size=1)
    await pool.open()
    async with pool.connection() as connection:
        [state] = await connection.fetch(_STATE, many.schema)
        old = many.today - _FORGOTTEN
        await connection.execute(CREATE_INBOX_DAY.format(day=old.date(), following=old.date() + timedelta(days=1)))
    filling = await asyncpg.connect(many.dsn)
    await many.fill(filling, _FORGOTTEN.days, old)
    await filling.close()
    began = time.perf_counter()
    await Inbox(pool).forget(_ORIGIN)
    spent = time.perf_counter() - began
    left = await many.store.fetchrow("SELECT to_regclass($1) AS name", f"inbox_{old:%Y%m%d}")
    await pool.close()
    if left is None or left["name"] is not None:
        raise RuntimeError(f"the day {old:%Y-%m-%d} was not dropped")
    return {
        "dead_tuples": int(state["dead"]),
        "bytes_a_mark": round(int(state["bytes"]) / (many.a_day * _DAYS)),
        "dropping_a_day": {"marks": many.a_day, "milliseconds": round(spent * 1_000, 1)},
    }
