"""Kafka: an idempotent producer that sends prebuilt batches, and consumer groups that commit what is finished."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from corelib.broker import Refused, Subscription
from corelib.errors import Unavailable
from corelib.history import History
from corelib.kafka.admin import administering, create, new_topic
from corelib.kafka.batches import TOPIC_BYTES, BatchSizes, too_large
from corelib.kafka.cluster import Cluster, reason_of, unseen
from corelib.kafka.ending import end
from corelib.kafka.history import KafkaHistory
from corelib.kafka.log import KafkaLog
from corelib.kafka.producer import starting
from corelib.kafka.subscription import KafkaSubscription
from corelib.message import Channel, Record
from corelib.transaction import size_of

_OVERHEAD_BYTES = 128  # of a batch and its first record, beside what is in them
_DEADLINE_SECONDS = 15.0
_METADATA_SECONDS = 2.0  # what is there goes out no later than this, when something else is missing

log = structlog.get_logger(__name__)


class Kafka:
    """A broker; a cluster in plain text may be given as `host:port`. `prefix` is put before every topic and group.

    `exactly_once` is for outboxes that are logs: their position travels in the same Kafka transaction as the records.
    """

    name = "kafka"

    def __init__(
        self, cluster: Cluster | str, *, prefix: str = "", session_seconds: float = 10.0, exactly_once: bool = True
    ) -> None:
        self.cluster = Cluster(cluster) if isinstance(cluster, str) else cluster
        self._exactly_once = exactly_once
        self._prefix = prefix
        self._session_seconds = session_seconds
        self._producer: AIOKafkaProducer | None = None
        self._spoilt: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()
        self._sizes = BatchSizes()

    async def open(self) -> None:
        """Connect the producer. Raises `Unavailable`."""
        async with starting(self.cluster, seconds=_DEADLINE_SECONDS, batches=2) as producer:
            self._producer = producer

    async def close(self) -> None:
        """Flush and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await end(producer)

    async def check(self) -> None:
        """Raise `Unavailable` unless the cluster answers with its metadata."""
        producer = self._connected()
        try:
            async with asyncio.timeout(2):
                answered = await producer.client.force_metadata_update()
        except (KafkaError, TimeoutError, OSError) as error:
            raise Unavailable(self.name, reason_of(error)) from error
        if not answered:
            raise Unavailable(self.name, f"no broker of {self.cluster.bootstrap} answers")

    async def missing(self, channels: Sequence[Channel]) -> Sequence[str]:
        """Return the names of the topics that do not exist. Raises `Unavailable`."""
        try:
            async with asyncio.timeout(2):
                cluster = await self._connected().client.fetch_all_metadata()
        except (KafkaError, TimeoutError, OSError) as error:
            raise Unavailable(self.name, reason_of(error)) from error
        return [topic for channel in channels if (topic := self.topic(channel.name)) not in cluster.topics()]

    async def provision(self, channels: Sequence[Channel]) -> None:
        """Create missing topics; those that exist are left as they are."""
        topics = [
            new_topic(
                self.topic(channel.name),
                channel.partitions,
                **{"max.message.bytes": str(TOPIC_BYTES)},
                **({"cleanup.policy": "compact"} if channel.compacted else {}),
            )
            for channel in channels
        ]
        async with administering(self.cluster) as admin:
            await create(admin, topics)

    def subscribe(self, group: str, channels: Sequence[Channel]) -> Subscription:
        """Return a consumer group's subscription, not yet open."""
        topics = {self.topic(channel.name): channel.name for channel in channels}
        return KafkaSubscription(self.cluster, self.group(group), topics, session_seconds=self._session_seconds)

    def log(self, name: str) -> KafkaLog:
        """Return a producer for one outbox that is a log; `name` is unique to it."""
        return KafkaLog(self.cluster, name, prefix=self._prefix, exactly_once=self._exactly_once)

    def history(self, channels: Sequence[Channel]) -> History:
        """Return what the topics of these channels still hold."""
        return KafkaHistory(self.cluster, {channel.name: self.topic(channel.name) for channel in channels})

    async def send(self, records: Sequence[Record]) -> Sequence[bool | Refused]:
        """Send all, per partition in order; a partition stops at its first failure, a missing topic takes nothing.

        Raises `Unavailable` when nothing could be sent.
        """
        await self._renew()
        sent: list[bool | Refused] = [False] * len(records)
        by_partition: dict[tuple[str, int], list[int]] = defaultdict(list)
        channels = list({each.channel for each in records})
        counts = dict(zip(channels, await asyncio.gather(*map(self._partitions, channels)), strict=True))
        for index, record in enumerate(records):
            count = counts[record.channel]
            if isinstance(count, Unavailable):
                continue
            # Java's default partitioner, so that every client puts a key on the same partition.
            partition = (murmur2(record.key.encode()) & 0x7FFF_FFFF) % count
            by_partition[self.topic(record.channel), partition].append(index)
        outcomes = await asyncio.gather(
            *(self._send_partition(topic, partition, indexes, records, sent)
              for (topic, partition), indexes in by_partition.items())
        )  # fmt: skip
        failures = [outcome for outcome in (*counts.values(), *outcomes) if isinstance(outcome, Exception)]
        if failures and not any(ok or isinstance(ok, Refused) for ok in sent):
            first = failures[0]
            raise first if isinstance(first, Unavailable) else Unavailable(self.name, reason_of(first)) from first
        return sent

    async def _renew(self) -> None:
        """Take another producer in the place of one that has numbered a batch that was refused: it can send no more."""
        async with self._renewing:
            spoilt = self._spoilt
            if spoilt is self._producer and spoilt is not None:
                await self.open()
                await end(spoilt)

    def group(self, name: str) -> str:
        """Return the physical name of a consumer group."""
        return f"{self._prefix}{name}"

    def topic(self, channel: str) -> str:
        """Return the physical name of a channel's topic."""
        return f"{self._prefix}{channel}"

    async def _partitions(self, channel: str) -> int | Unavailable:
        topic = self.topic(channel)
        try:
            async with asyncio.timeout(_METADATA_SECONDS):
                return len(await self._connected().partitions_for(topic))
        except (KafkaError, TimeoutError) as error:
            reason = unseen(topic, error)
            log.warning("records wait for their topic", topic=topic, reason=reason)
            return Unavailable(self.name, reason)

    async def _send_partition(
        self, topic: str, partition: int, indexes: list[int], records: Sequence[Record], sent: list[bool | Refused]
    ) -> Exception | None:
        producer = self._connected()
        start, taken, size, channel = 0, 0, 0, ""
        try:
            while start < len(indexes):
                channel = records[indexes[start]].channel
                batch, taken = self._batch(producer, channel, (records[i] for i in islice(indexes, start, None)))
                size = batch.size()
                future = await producer.send_batch(batch, topic, partition=partition)
                async with asyncio.timeout(2 * _DEADLINE_SECONDS):
                    await future
                for index in islice(indexes, start, start + taken):
                    sent[index] = True
                start += taken
        except MessageSizeTooLargeError as error:
            self._spoilt = producer
            reason = too_large(topic, taken)
            log.warning("kafka refused a batch", topic=topic, partition=partition, reason=reason)
            if taken > 1:
                self._sizes.refused(channel, size)
            else:
                sent[indexes[start]] = Refused(reason)
            failure: Exception = error
        except (KafkaError, TimeoutError) as error:
            log.warning("kafka refused a batch", topic=topic, partition=partition, reason=reason_of(error))
            failure = error
        else:
            return None
        return failure

    def _batch(self, producer: AIOKafkaProducer, channel: str, records: Iterable[Record]) -> tuple[BatchBuilder, int]:
        """Return a batch of the first records, as many as its topic takes, and how many those are."""
        limit = self._sizes.of(channel)
        batch = producer.create_batch()
        for record in records:
            headers = [(name, value.encode()) for name, value in record.headers]
            full = batch.record_count() and batch.size() + size_of(record) + _OVERHEAD_BYTES > limit
            if full or (
                batch.append(key=record.key.encode(), value=record.payload, timestamp=None, headers=headers) is None
            ):
                break
        batch.close()
        return batch, batch.record_count()

    def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise Unavailable(self.name, "not connected")
        return self._producer
