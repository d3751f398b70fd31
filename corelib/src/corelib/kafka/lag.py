"""How far a consumer group is behind its topics: in records, and by the age of the oldest that waits."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from corelib.errors import Unavailable
from corelib.kafka.admin import administering, topics_of
from corelib.kafka.cluster import Cluster

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
    """What waits in a topic for a group."""

    records: int
    seconds: float


async def lag_of(cluster: Cluster, group: str, topics: Collection[str]) -> dict[str, Lag]:
    """Return a group's lag by topic; of a group that never committed, everything waits. Raises `Unavailable`."""
    async with administering(cluster) as admin:
        known = await topics_of(admin, topics)
        committed: Mapping[TopicPartition, OffsetAndMetadata] = await _COORDINATED(
            admin.list_consumer_group_offsets, group
        )
    partitions = [TopicPartition(name, number) for name, topic in known.items() for number in topic.partitions]
    consumer = AIOKafkaConsumer(**cluster.options, isolation_level="read_committed", enable_auto_commit=False)
    try:
        await consumer.start()
        ends = await consumer.end_offsets(partitions)
        first = await consumer.beginning_offsets(partitions)
        lags: dict[str, Lag] = dict.fromkeys(known, Lag(0, 0.0))
        for partition in partitions:
            offset = committed[partition].offset if partition in committed else -1
            start = max(offset, first[partition])
            if start < ends[partition]:
                before = lags[partition.topic]
                seconds = await _age(consumer, partition, start)
                lags[partition.topic] = Lag(before.records + ends[partition] - start, max(before.seconds, seconds))
    except KafkaError as error:
        raise Unavailable("kafka", repr(error)) from error
    finally:
        await consumer.stop()
    return lags


async def _age(consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> float:
    """Return the age of the first record at or behind an offset; 0.0 where only marks of transactions are left."""
    consumer.assign([partition])
    consumer.seek(partition, offset)
    fetched = await consumer.getmany(partition, timeout_ms=_POLL_MILLISECONDS, max_records=1)
    return max((time.time() - message.timestamp / 1_000 for message in fetched.get(partition, ())), default=0.0)
