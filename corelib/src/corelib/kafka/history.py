"""What topics still hold, read without a group: it moves nobody's offsets."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from corelib.errors import Unavailable
from corelib.history import Page, Past, Place, Selection
from corelib.kafka.admin import administering, topics_of
from corelib.kafka.cluster import Cluster, reason_of
from corelib.kafka.ending import end
from corelib.kafka.subscription import record_of

_PAGE = 500
_POLL_MILLISECONDS = 500
_REQUEST_MILLISECONDS = 15_000


class KafkaHistory:
    """Implements `History`. `topics` gives each channel's topic."""

    def __init__(self, cluster: Cluster, topics: Mapping[str, str]) -> None:
        self._cluster = cluster
        self._channels = {topic: channel for channel, topic in topics.items()}

    async def pages(self, selection: Selection, after: Place | None = None) -> AsyncIterator[Page]:
        """Yield pages partition by partition, up to what was written when this began."""
        place: dict[str, Any] = dict(after or {})
        partitions = await self._partitions(selection)
        async with self._consumer() as consumer:
            starts = await self._starts(consumer, partitions, selection)
            ends = await consumer.end_offsets(partitions)
            # Assigned once: aiokafka's fetcher, told to stop while it drops an assignment, does not stop.
            consumer.assign(partitions)
            consumer.pause(*partitions)
            for partition in partitions:
                name = f"{partition.topic}/{partition.partition}"
                consumer.seek(partition, max(starts[partition], place.get(name, 0)))
                consumer.resume(partition)
                while (at := await consumer.position(partition)) < ends[partition]:
                    fetched = await consumer.getmany(partition, timeout_ms=_POLL_MILLISECONDS, max_records=_PAGE)
                    messages = [message for message in fetched.get(partition, ()) if message.offset < ends[partition]]
                    place[name] = messages[-1].offset + 1 if messages else at
                    pasts = map(self._past, messages)
                    yield Page([past for past in pasts if selection.wants(past)], dict(place))
                consumer.pause(partition)

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            **self._cluster.options,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # what retention removes meanwhile is passed over
            request_timeout_ms=_REQUEST_MILLISECONDS,
        )
        try:
            await consumer.start()
            yield consumer
        except KafkaError as error:
            raise Unavailable("kafka", reason_of(error)) from error
        finally:
            await end(consumer)

    async def _partitions(self, selection: Selection) -> list[TopicPartition]:
        wanted = {topic for topic, channel in self._channels.items() if channel in selection.channels}
        async with administering(self._cluster) as admin:
            known = await topics_of(admin, wanted)
        missing = wanted - known.keys()
        if missing:
            raise Unavailable("kafka", f"topic {', '.join(sorted(missing))} does not exist")
        return [TopicPartition(name, number) for name, topic in sorted(known.items()) for number in topic.partitions]

    async def _starts(
        self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition], selection: Selection
    ) -> dict[TopicPartition, int]:
        first: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
        if selection.since is None:
            return first
        times = dict.fromkeys(partitions, int(selection.since.timestamp() * 1_000))
        found = await consumer.offsets_for_times(times)
        ends = await consumer.end_offsets(partitions)
        return {partition: found[partition].offset if found[partition] else ends[partition] for partition in partitions}

    def _past(self, message: ConsumerRecord) -> Past:
        record = record_of(message, self._channels[message.topic])
        return Past(record, datetime.fromtimestamp(message.timestamp / 1_000, UTC))
