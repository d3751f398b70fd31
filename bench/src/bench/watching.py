"""How fast a topic fills, seen from the broker: the same for whoever fills it."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import orjson
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from bench.cpu import cpu_seconds
from corelib.kafka.admin import new_topic

_LOOK_SECONDS = 0.02
_QUIET_SECONDS = 2.0
_PATIENCE_SECONDS = 180.0


@dataclass(frozen=True)
class Filled:
    """From the first record seen to the last: a start-up costs nobody anything."""

    events: float
    seconds: float
    peak_mb: float
    cpu_before: Mapping[str, float]
    cpu_after: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Return events a second."""
        return self.events / self.seconds


@dataclass(frozen=True)
class _Sight:
    """How much a topic held, when, and what that had cost by then."""

    end: int = 0
    at: float = field(default_factory=time.perf_counter)
    cpu: Mapping[str, float] = field(default_factory=cpu_seconds)


async def make_topic(bootstrap: str, name: str, partitions: int = 4, **configs: str) -> None:
    """Make a topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([new_topic(name, partitions, **configs)])
    finally:
        await admin.close()


async def drop_topic(bootstrap: str, name: str) -> None:
    """Delete a topic and what is in it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([name])
    finally:
        await admin.close()


async def until_filled(
    bootstrap: str, topic: str, count: int, pid: int, alive: Callable[[], bool], *, to_the_end: bool = True
) -> Filled:
    """Return how fast `count` records came; raise when the process that sends them dies or nothing comes any more.

    Only where nothing is to come behind them (`to_the_end`) can the markers of transactions be told from events.
    """
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        return await _watch(consumer, topic, count, psutil.Process(pid), alive, to_the_end=to_the_end)
    finally:
        await consumer.stop()


async def _watch(
    consumer: AIOKafkaConsumer,
    topic: str,
    count: int,
    process: psutil.Process,
    alive: Callable[[], bool],
    *,
    to_the_end: bool,
) -> Filled:
    places = [TopicPartition(topic, number) for number in range(4)]
    first, last, peak = _Sight(), _Sight(), 0
    while True:
        end = sum((await consumer.end_offsets(places)).values())
        if end and not first.end:
            first = _Sight(end)
        if end > last.end:
            last = _Sight(end)
        peak = max(peak, process.memory_info().rss)
        quiet = time.perf_counter() - last.at
        if end >= count and (quiet >= _QUIET_SECONDS or not to_the_end):
            break
        if not alive() or quiet > _PATIENCE_SECONDS:
            raise RuntimeError(f"{topic} holds {end} of {count} records, and no more come")
        await asyncio.sleep(_LOOK_SECONDS)
    # Markers of transactions count as offsets, but not as events.
    events = (last.end - first.end) * (count / last.end if to_the_end else 1.0)
    return Filled(events, last.at - first.at, peak / 2**20, first.cpu, last.cpu)


async def require_exactly(bootstrap: str, topic: str, count: int) -> None:
    """Raise unless a committed reader finds each event once, and each key's in order."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * 2**20,
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(4)])
        numbers: dict[bytes, list[int]] = defaultdict(list)
        found = 0
        while found < count:
            fetched = await consumer.getmany(timeout_ms=5_000, max_records=50_000)
            if not fetched:
                raise RuntimeError(f"{topic} holds {found} of {count} events")
            for messages in fetched.values():
                found += len(messages)
                for message in messages:
                    numbers[message.key].append(orjson.loads(message.value)["number"])
    finally:
        await consumer.stop()
    if any(a >= b for mine in numbers.values() for a, b in pairwise(mine)):
        raise RuntimeError(f"{topic} has events of a key twice or out of order")
