"""`make bench-latency`: how long after a commit its event's handler has committed, at 500 events a second.

The relay runs inside the publishing service, as it does by default; the handler runs in a service of its own.
"""

import asyncio
import json
import sys
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import cast

import aiohttp
import asyncpg
import uvloop

from bench.frame import Aim, Bench, Figure, fdatasync_rate, postgres_and_kafka
from bench.plot import quantile
from bench.program import Program, program
from bench.shop import SOLD, BenchSettings, build, sold
from corelib.kafka.broker import Kafka
from corelib.message import Transport
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.tuning import tune
from devstack.settings import HOST, free_ports

_PER_SECOND = 500
_KEYS = 1_000
_PUBLISHERS = 8
_WARM_SECONDS = 3
_TURNS = 300
_NANOSECONDS_PER_MS = 1e6
P50, P99 = "corelib, p50", "corelib, p99"


async def run(bench: Bench) -> Figure:
    """Publish at an even pace, whatever becomes of it, and compare the clocks."""
    seconds, rounds = (10, 1) if bench.quick else (20, 3)
    async with postgres_and_kafka(bench) as (dsn, bootstrap):
        probe = fdatasync_rate(bench.work)
        turn = await asyncio.to_thread(uvloop.run, _turn_alone(_settings("alone", dsn, bootstrap)))
        bench.say(f"a relay's turn alone: {', '.join(f'{name} {ms} ms' for name, ms in turn.items())}")
        samples: dict[str, list[float]] = {P50: [], P99: []}
        rates: list[int] = []
        for number in range(rounds):
            waits, rate = await _round(bench, _settings(f"latency{number}", dsn, bootstrap), seconds)
            rates.append(round(rate))
            samples[P50].append(quantile(waits, 0.5))
            samples[P99].append(quantile(waits, 0.99))
            bench.say(f"round {number + 1} of {rounds}: p50 {samples[P50][-1]:.1f} ms, p99 {samples[P99][-1]:.1f} ms")
    return Figure(
        title=f"From commit to handler done at {_PER_SECOND} events/s",
        unit="ms",
        ours=samples,
        aims=[Aim(P50, at_most=10), Aim(P99, at_most=40)],
        notes={"fdatasync_per_second": round(probe), "events_per_second": rates, "turn_alone_ms": turn},
    )


def _settings(name: str, dsn: str, bootstrap: str) -> BenchSettings:
    return BenchSettings(
        postgres_dsn=dsn,
        kafka_bootstrap=bootstrap,
        kafka_prefix=f"{name}-",
        outbox_schema=name,
        provision=True,
        only="relay",
        port=0,
        log_level="warning",
    )


async def _turn_alone(settings: BenchSettings) -> dict[str, float]:
    """Return what a relay's turn with one event takes while nothing else goes on, in milliseconds, by its calls."""
    service = build(settings)
    tune()
    store, broker = cast("Postgres", service.store), cast("Kafka", service.brokers[Transport.KAFKA])
    await service.provision()
    await store.open(service.origin)
    source, sink = store.log(Transport.KAFKA, frozenset({SOLD.name})), broker.log(settings.outbox_schema)
    spent: dict[str, list[float]] = defaultdict(list)
    try:
        await source.acquire("bench")
        await sink.begin()
        for number in range(_TURNS):
            async with store.transaction() as tx:
                tx.publish(sold("order", number))
            clock = [time.perf_counter()]
            chunk = await source.read(1_000)
            assert chunk is not None  # noqa: S101 -- it was committed
            clock.append(time.perf_counter())
            await sink.send(chunk.rows, chunk.receipt)
            clock.append(time.perf_counter())
            await sink.commit()
            clock.append(time.perf_counter())
            await source.passed(chunk.after)
            for name, (before, after) in zip(("read", "send", "commit"), pairwise(clock), strict=True):
                spent[name].append(1e3 * (after - before))
    finally:
        await sink.close()
        await source.release()
        await store.close()
    return {name: round(median(values), 2) for name, values in spent.items()}


async def _round(bench: Bench, settings: BenchSettings, seconds: int) -> tuple[list[float], float]:
    """Return the waits in milliseconds, in order of length, and the rate that was reached."""
    done = bench.work / f"{settings.kafka_prefix}done.json"
    port = free_ports(1)[0]
    env = {
        "SOUK_POSTGRES_DSN": settings.postgres_dsn,
        "SOUK_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "SOUK_KAFKA_PREFIX": settings.kafka_prefix,
        "SOUK_PROVISION": "true",
        "SOUK_PORT": str(port),
        "SOUK_LOG_LEVEL": "warning",
        "BENCH_DONE": str(done),
    }
    async with program((sys.executable, "-m", "bench.handling"), env, bench.work / "handling.log") as handling:
        # On uvloop and tuned, as services are; it could not have started the servers, under a user of their own.
        committed = await asyncio.to_thread(uvloop.run, _published(settings, seconds, port, handling))
    spent = (max(committed.values()) - min(committed.values())) / 1e9
    return _waits(committed, done), len(committed) / spent


async def _published(settings: BenchSettings, seconds: int, port: int, handling: Program) -> dict[int, int]:
    """Run the publishing service until all that it publishes is handled; return when each event was committed."""
    service, stop = build(settings), asyncio.Event()
    tune()
    serving = asyncio.create_task(service.serve(stop))
    try:
        await _until_ready(service, port, handling)
        committed = await _publish(service, seconds)
        await _until_handled(settings.postgres_dsn, len(committed))
    finally:
        stop.set()
        await serving
    return committed


def _waits(committed: dict[int, int], done: Path) -> list[float]:
    handled = {int(number): at for number, at in json.loads(done.read_text()).items()}
    counted = [number for number in committed if number >= _WARM_SECONDS * _PER_SECOND]
    return sorted((handled[number] - committed[number]) / _NANOSECONDS_PER_MS for number in counted)


async def _until_ready(service: Service, port: int, handling: Program) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while handling.alive():
            try:
                answer = await session.get(f"http://{HOST}:{port}/readyz")
            except aiohttp.ClientError:
                pass
            else:
                if answer.ok and service.health.started:
                    return
            await asyncio.sleep(0.1)
    raise RuntimeError("the handling service ended")


async def _until_handled(dsn: str, count: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(60):
            while await connection.fetchval("SELECT count(*) FROM handling.handled") < count:  # noqa: ASYNC110 -- in another process
                await asyncio.sleep(0.1)
        await connection.execute("TRUNCATE handling.handled")
    finally:
        await connection.close()


async def _publish(service: Service, seconds: int) -> dict[int, int]:
    """Return when each event was committed. A machine that cannot keep the pace falls behind; the rate is noted."""
    committed: dict[int, int] = {}
    numbers = iter(range((seconds + _WARM_SECONDS) * _PER_SECOND))
    began = time.perf_counter()

    async def publisher() -> None:
        for number in numbers:
            await asyncio.sleep(max(0.0, began + number / _PER_SECOND - time.perf_counter()))
            async with service.store.transaction() as tx:
                tx.publish(sold(f"order-{number % _KEYS}", number))
            committed[number] = time.monotonic_ns()

    await asyncio.gather(*(publisher() for _ in range(_PUBLISHERS)))
    return committed
