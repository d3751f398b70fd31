"""`make bench-commit`: what an event costs the transaction that publishes it.

An order and its three lines are committed on 32 connections, without an event, with one through corelib, and with one
as most would write it (a statement of its own) or could write it without a table (`pg_logical_emit_message`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count

import uvloop

from bench.cpu import Meter
from bench.frame import Aim, Bench, Contender, Figure, fdatasync_rate, postgres, throughput
from bench.shop import Sold, sold
from corelib.clock import SystemClock
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.transaction import Origin
from corelib.tuning import tune

_CONNECTIONS = 32
_TABLES = """
CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, customer text NOT NULL, total bigint NOT NULL);
CREATE TABLE IF NOT EXISTS line (order_id bigint NOT NULL, number int NOT NULL, sku text NOT NULL,
                                 price bigint NOT NULL, PRIMARY KEY (order_id, number));
CREATE TABLE IF NOT EXISTS plain_outbox (id bigserial PRIMARY KEY, topic text NOT NULL, key text NOT NULL,
                                         type text NOT NULL, payload text NOT NULL,
                                         created timestamptz NOT NULL DEFAULT now());
"""
_ORDER = "INSERT INTO orders VALUES ($1, $2, $3)"
_LINE = "INSERT INTO line VALUES ($1, $2, $3, $4)"
_EVENT = "INSERT INTO plain_outbox (topic, key, type, payload) VALUES ($1, $2, $3, $4)"
_MESSAGE = "SELECT pg_logical_emit_message(true, $1, $2)"
WITHOUT, OURS, OWN, MESSAGE = "no event", "corelib", "a statement of its own", "pg_logical_emit_message"

Publish = Callable[[PostgresTransaction, Sold], Awaitable[object]]


async def _nothing(_: PostgresTransaction, __: Sold) -> None:
    return


async def _publish(tx: PostgresTransaction, event: Sold) -> None:
    tx.publish(event)


async def _insert(tx: PostgresTransaction, event: Sold) -> None:
    await tx.execute(_EVENT, "sold", event.key, event.type, event.model_dump_json())


async def _emit(tx: PostgresTransaction, event: Sold) -> None:
    await tx.execute(_MESSAGE, "outbox", event.model_dump_json())


async def run(bench: Bench) -> Figure:
    """Commit for a while each way, in turn; short turns, since a disk changes its mood within seconds."""
    async with postgres(bench) as dsn:
        probe = fdatasync_rate(bench.work)
        # On uvloop and tuned, as services are; it could not have started the server, under a user of its own.
        meter = Meter()
        samples = await asyncio.to_thread(uvloop.run, _measured(bench, dsn, meter))
    return Figure(
        title="An order, three lines and one event in a transaction, 32 connections",
        unit="commits/s",
        ours={OURS: samples[OURS]},
        peers={OWN: samples[OWN], MESSAGE: samples[MESSAGE]},
        limit={WITHOUT: samples[WITHOUT]},
        aims=[Aim(OURS, over=WITHOUT, at_least=0.85), Aim(OURS, over=OWN, at_least=1)],
        notes={
            "fdatasync_per_second": round(probe),
            "cpu_us_a_transaction": meter.costs(),
            "ratio_of_peers": {name: round(Aim(name, over=WITHOUT).value(samples), 3) for name in (OWN, MESSAGE)},
        },
    )


async def _measured(bench: Bench, dsn: str, meter: Meter) -> Mapping[str, Sequence[float]]:
    seconds, rounds = 0.5, (8 if bench.quick else 40)
    measure = {
        WITHOUT: _nothing,
        OURS: _publish,
        OWN: _insert,
        MESSAGE: _emit,
    }
    store = Postgres(dsn, schema="bench", migrations=(_TABLES,), pool_size=_CONNECTIONS)
    await store.provision()
    await store.open(Origin("bench", SystemClock(), frozenset({Sold})))
    try:
        numbers = count()
        contenders: dict[str, Contender] = {
            name: _metered(meter, name, _contender(store, publish, numbers, seconds))
            for name, publish in measure.items()
        }
        tune()
        await _contender(store, _publish, numbers, seconds)()  # connections and caches
        return await bench.interleaved(contenders, rounds=rounds, unit="commits/s")
    finally:
        await store.close()


def _contender(store: Postgres, publish: Publish, numbers: "count[int]", seconds: float) -> Contender:
    return throughput(lambda: _order(store, next(numbers), publish), seconds=seconds, at_once=_CONNECTIONS)


def _metered(meter: Meter, name: str, contend: Contender) -> Contender:
    async def metered() -> float:
        began, rate = time.perf_counter(), 0.0
        with meter.over(name, lambda: rate * (time.perf_counter() - began)):
            rate = await contend()
        return rate

    return metered


async def _order(store: Postgres, number: int, publish: Publish) -> None:
    event = sold(f"order-{number}", number)
    async with store.transaction() as tx:
        await tx.execute(_ORDER, number, "somebody", 4_200)
        await tx.executemany(_LINE, [(number, line, f"sku-{line}", 1_400) for line in range(3)])
        await publish(tx, event)
