"""A consumer group's share of some topics; commits offsets up to the lowest unfinished record of each partition."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import cast

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from corelib.broker import Delivery
from corelib.errors import Unavailable
from corelib.message import Record
from corelib.offsets import Offsets

_DEADLINE_SECONDS = 15.0
_COMMIT_SECONDS = 1.0
_REVOKE_SECONDS = 10.0
_POLL_MILLISECONDS = 200

log = structlog.get_logger(__name__)


class KafkaSubscription(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Yields records and keeps book of which are finished."""

    def __init__(self, bootstrap: str, group: str, topics: Mapping[str, str], *, session_seconds: float = 10.0) -> None:
        self._topics = topics
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(session_seconds * 1_000),
            heartbeat_interval_ms=int(session_seconds * 1_000 / 4),
            rebalance_timeout_ms=30_000,
            max_poll_interval_ms=300_000,
            fetch_max_wait_ms=100,
            retry_backoff_ms=50,
        )
        self._partitions: dict[TopicPartition, Offsets] = {}
        self._closing = asyncio.Event()
        self._finished = asyncio.Condition()
        self._commit_due = 0.0

    async def open(self) -> None:
        """Join the group. Raises `Unavailable`."""
        self._consumer.subscribe(topics=list(self._topics), listener=self)
        try:
            await asyncio.wait_for(self._consumer.start(), _DEADLINE_SECONDS)
        except (KafkaError, TimeoutError, OSError) as error:
            await self._consumer.stop()
            raise Unavailable("kafka", repr(error)) from error

    async def close(self) -> None:
        """Commit what is finished and leave the group."""
        self._closing.set()
        await self._commit()
        await self._consumer.stop()

    def stop_taking(self) -> None:
        """End `deliveries`; what was yielded can still be finished."""
        self._closing.set()

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """Yield records, per partition in order; stops when closed. Raises `Unavailable`."""
        while not self._closing.is_set():
            try:
                fetched = await self._consumer.getmany(timeout_ms=_POLL_MILLISECONDS, max_records=500)
            except KafkaError as error:
                raise Unavailable("kafka", repr(error)) from error
            self._book(fetched)
            for partition, messages in fetched.items():
                for message in messages:
                    if self._closing.is_set():
                        return
                    if partition in self._partitions:
                        yield Delivery(record_of(message, self._topics[message.topic]), (partition, message.offset))
            await self._commit_when_due()

    async def done(self, delivery: Delivery) -> None:
        """Say that a delivery is handled or parked."""
        partition, offset = cast("tuple[TopicPartition, int]", delivery.position)
        book = self._partitions.get(partition)
        if book is not None:
            book.done(offset)
        async with self._finished:
            self._finished.notify_all()
        await self._commit_when_due()

    async def lag(self) -> dict[str, int]:
        """Return how many records wait, by channel."""
        waiting = dict.fromkeys(self._topics.values(), 0)
        for partition, book in self._partitions.items():
            end = self._consumer.highwater(partition)
            if end is not None:
                waiting[self._topics[partition.topic]] += max(0, end - book.committable())
        return waiting

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Let what is in hand finish, then commit: the next owner starts behind it."""
        try:
            async with asyncio.timeout(_REVOKE_SECONDS), self._finished:
                await self._finished.wait_for(
                    lambda: not any(self._partitions[p].unfinished for p in revoked if p in self._partitions)
                )
        except TimeoutError:
            log.warning("work still in hand at a rebalance; its records come again", partitions=len(revoked))
        await self._commit()
        for partition in revoked:
            self._partitions.pop(partition, None)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Start a book for each new partition."""
        for partition in assigned:
            position = await self._consumer.position(partition)
            self._partitions[partition] = Offsets(next=position, committed=position)

    def _book(self, fetched: Mapping[TopicPartition, list[ConsumerRecord]]) -> None:
        """Count a whole fetch as unfinished before any of it can be finished."""
        for partition, messages in fetched.items():
            book = self._partitions.get(partition)
            if book is not None:
                book.take(message.offset for message in messages)

    async def _commit_when_due(self) -> None:
        if asyncio.get_running_loop().time() >= self._commit_due:
            self._commit_due = asyncio.get_running_loop().time() + _COMMIT_SECONDS
            await self._commit()

    async def _commit(self) -> None:
        offsets = {partition: book.committable() for partition, book in self._partitions.items() if book.behind}
        if not offsets:
            return
        try:
            await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError, KafkaError) as error:
            # Not lost: the records come again, and their marks make them harmless.
            log.warning("offsets not committed", reason=repr(error))
            return
        for partition, offset in offsets.items():
            if partition in self._partitions:
                self._partitions[partition].committed = offset


def record_of(message: ConsumerRecord, channel: str) -> Record:
    """Return a message as our record; what is no text in it is replaced, as a parked record has to be shown."""
    headers = tuple((name, value.decode("utf-8", "replace")) for name, value in message.headers)
    key = (message.key or b"").decode("utf-8", "replace")
    return Record(channel, key, headers, message.value or b"")
