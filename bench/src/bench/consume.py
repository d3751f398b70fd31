"""`make bench-consume`: how fast events are handled, one transaction each, in order per key.

A topic is filled once; each contender takes it from the beginning, in a group and a process of its own.
"""

import sys
from itertools import count

from bench.frame import Aim, Bench, Contender, Figure, fdatasync_rate, postgres_and_kafka
from bench.program import program
from bench.shop import SOLD, sold
from corelib.clock import SystemClock
from corelib.ids import uuid7
from corelib.kafka.broker import Kafka
from corelib.message import Envelope, Record

_KEYS = 1_000
_BATCH = 5_000
EFFECT, NO_OP = "corelib, PostgreSQL effect and inbox", "corelib, no-op"
ONE_BY_ONE, BARE = "aiokafka and asyncpg, one by one", "aiokafka alone"


async def run(bench: Bench) -> Figure:
    """Let everyone consume the same topic in turn."""
    events, few, rounds = (20_000, 5_000, 1) if bench.quick else (200_000, 30_000, 5)
    async with postgres_and_kafka(bench) as (dsn, bootstrap):
        probe = fdatasync_rate(bench.work)
        bench.say(f"sending {events:,} events")
        await _fill(bootstrap, events)
        numbers = count()

        def contender(mode: str, wanted: int) -> Contender:
            async def contend() -> float:
                log = bench.work / f"consuming{next(numbers)}.log"
                env = {
                    "BENCH_DSN": dsn,
                    "BENCH_BOOTSTRAP": bootstrap,
                    "BENCH_GROUP": log.stem,
                    "BENCH_EVENTS": str(wanted),
                }
                async with program((sys.executable, "-m", "bench.consuming", mode), env, log) as process:
                    await process.process.wait()
                    return float(log.read_text().split()[-1])

            return contend

        contenders = {
            EFFECT: contender("effect", few),
            ONE_BY_ONE: contender("one by one", few),
            NO_OP: contender("no-op", events),
            BARE: contender("bare", events),
        }
        samples = await bench.interleaved(contenders, rounds=rounds, unit="events/s")
    return Figure(
        title="Events of 256 bytes from Kafka, each handled in a transaction of its own",
        unit="events/s",
        ours={name: samples[name] for name in (EFFECT, NO_OP)},
        peers={ONE_BY_ONE: samples[ONE_BY_ONE]},
        limit={BARE: samples[BARE]},
        aims=[Aim(EFFECT, at_least=5_000), Aim(NO_OP, at_least=30_000), Aim(EFFECT, over=ONE_BY_ONE, at_least=1)],
        notes={"fdatasync_per_second": round(probe), "keys": _KEYS, "partitions": SOLD.partitions},
    )


async def _fill(bootstrap: str, events: int) -> None:
    kafka = Kafka(bootstrap)
    await kafka.provision([SOLD])
    await kafka.open()
    try:
        for start in range(0, events, _BATCH):
            await kafka.send([_record(number) for number in range(start, start + _BATCH)])
    finally:
        await kafka.close()


def _record(number: int) -> Record:
    event = sold(f"order-{number % _KEYS:05}", number)
    envelope = Envelope(uuid7(), event.type, "bench", SystemClock().now(), event.key)
    return envelope.record(SOLD.name, event.model_dump_json().encode())
