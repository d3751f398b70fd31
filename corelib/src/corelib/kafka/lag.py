"""How far a consumer group is behind its topics: in records, and by the age of the oldest that waits."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from corelib.errors import Unavailable
from corelib.kafka.admin import administering, topics_of
from corelib.kafka.cluster import Cluster, reason_of
from corelib.kafka.ending import end

_POLL_MILLISECONDS = 2_000
# A new cluster makes the topic of its groups at the first question about one.
_COORDINATED = AsyncRetrying(
    retry=retry_if_exception_type(GroupCoordinatorNotAvailableError),
    wait=wait_random_exponential(multiplier=0.1, max=1.0),
    stop=stop_after_delay(10),
    reraise=True,
)


@dataclass(frozen=True)
class Lag:
    """What waits in a topic for a group; marks of transactions alone, which nobody handles, count for nothing.

    `lost` is what was deleted before the group read it.
    """

    records: int = 0
    seconds: float = 0.0
    lost: int = 0


async def lag_of(cluster: Cluster, group: str, topics: Collection[str]) -> dict[str, Lag]:
    """Return a group's lag by topic; of a group that never committed, everything waits. Raises `Unavailable`."""
    async with administering(cluster) as admin:
        known = await topics_of(admin, topics)
        committed: Mapping[TopicPartition, OffsetAndMetadata] = await _COORDINATED(
            admin.list_consumer_group_offsets, group
        )
    partitions = [TopicPartition(name, number) for name, topic in known.items() for number in topic.partitions]
    if not partitions:
        return {}
    consumer = AIOKafkaConsumer(**cluster.options, isolation_level="read_committed", enable_auto_commit=False)
    try:
        await consumer.start()
        ends = await consumer.end_offsets(partitions)
        first = await consumer.beginning_offsets(partitions)
        # Assigned once: see `KafkaHistory.pages`.
        consumer.assign(partitions)
        consumer.pause(*partitions)
        lags: dict[str, Lag] = dict.fromkeys(known, Lag())
        for partition in partitions:
            offset = committed[partition].offset if partition in committed else -1
            if not 0 <= offset <= ends[partition]:
                offset = first[partition]  # a place that is none is where a group begins, in a topic made anew, too
            start, before = max(offset, first[partition]), lags[partition.topic]
            lag = replace(before, lost=before.lost + start - offset)
            if start < ends[partition] and (seconds := await _age(consumer, partition, start)) is not None:
                lag = replace(lag, records=lag.records + ends[partition] - start, seconds=max(lag.seconds, seconds))
            lags[partition.topic] = lag
    except KafkaError as error:
        raise Unavailable("kafka", reason_of(error)) from error
    finally:
        await end(consumer)
    return lags


async def members_of(cluster: Cluster, group: str) -> int:
    """Return how many consumers a group has now. Raises `Unavailable`."""
    async with administering(cluster) as admin:
        described: Sequence[Any] = await _COORDINATED(admin.describe_consumer_groups, [group])
    [(_error, _group, _state, _kind, _protocol, members, *_)] = described[0].groups
    return len(members)


async def _age(consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> float | None:
    """Return the age of the first record at or behind an offset; None where only marks of transactions are left.

    The partition is paused before and after.
    """
    consumer.seek(partition, offset)
    consumer.resume(partition)
    fetched = await consumer.getmany(partition, timeout_ms=_POLL_MILLISECONDS, max_records=1)
    consumer.pause(partition)
    return next((max(0.0, time.time() - m.timestamp / 1_000) for m in fetched.get(partition, ())), None)
