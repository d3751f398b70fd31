"""A consumer group's share of some topics; commits offsets up to the lowest unfinished record of each partition."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import cast

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from corelib.broker import Assigned, Delivery
from corelib.consumer.offsets import Offsets
from corelib.errors import Unavailable
from corelib.kafka.cluster import Cluster, reason_of
from corelib.kafka.ending import end
from corelib.message import Record
from corelib.metrics import LOST

_DEADLINE_SECONDS = 15.0
_COMMIT_SECONDS = 1.0
_COMMITTED_SECONDS = 5.0  # a broker that is away must not keep a stop, nor a rebalance, from its end
_REVOKE_SECONDS = 10.0
_START_SECONDS = 5.0  # a partition that nobody leads must not keep the others
_POLL_MILLISECONDS = 200
# With a partition left out of a poll, the poll must end soon for it to be let in again.
_SHORT_POLL_MILLISECONDS = 5
# What waits of a key is handled together, so that a poll takes much of what there is.
_POLL_RECORDS = 1_000
# One key that is slow must not fill every mailbox: beyond this its partition waits, and others flow.
_MOST_IN_HAND = 1_500
_MOST_BYTES_IN_HAND = 16 * 1024 * 1024
_SAMPLED = 16  # of so many records of a poll one tells how large they are
# aiokafka's own watch over stuck consumers is off: ours stop taking while a store is down, and handlers have deadlines.
_NEVER_MILLISECONDS = 7 * 24 * 3_600 * 1_000

log = structlog.get_logger(__name__)


class KafkaSubscription(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Yields records and keeps book of which are finished."""

    sticky = True

    def __init__(
        self, cluster: Cluster, group: str, topics: Mapping[str, str], *, session_seconds: float = 10.0
    ) -> None:
        self._topics = topics
        self._consumer = AIOKafkaConsumer(
            **cluster.options,
            group_id=group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",  # "earliest" passes over what was deleted unread without a word
            session_timeout_ms=int(session_seconds * 1_000),
            heartbeat_interval_ms=int(session_seconds * 1_000 / 4),
            rebalance_timeout_ms=30_000,
            max_poll_interval_ms=_NEVER_MILLISECONDS,
            fetch_max_wait_ms=100,
            retry_backoff_ms=50,
        )
        self._lost = {topic: LOST.labels(channel) for topic, channel in topics.items()}
        self._books: dict[TopicPartition, Offsets] = {}
        self._rebalances = 0
        self._misplaced: dict[TopicPartition, int | None] = {}  # by what was wanted; None where no place is known
        self._closing = asyncio.Event()
        self._assigned = asyncio.Event()
        self._on_assigned: Assigned | None = None
        self._failure: Exception | None = None
        self._committing: asyncio.Task[None] | None = None

    async def open(self, on_assigned: Assigned | None = None) -> None:
        """Join the group. Raises `Unavailable`."""
        self._on_assigned = on_assigned
        self._consumer.subscribe(topics=list(self._topics), listener=self)
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                await self._consumer.start()
        except (KafkaError, TimeoutError, OSError) as error:
            await end(self._consumer)
            raise Unavailable("kafka", reason_of(error)) from error
        self._committing = asyncio.create_task(self._keep_committing())

    async def close(self) -> None:
        """Commit what is finished and leave the group."""
        self._closing.set()
        try:
            if self._committing is not None:
                self._committing.cancel()
                await asyncio.wait([self._committing])
            await self._commit()
        finally:
            await end(self._consumer)

    def stop_taking(self) -> None:
        """End `deliveries`; what was yielded can still be finished."""
        self._closing.set()

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """Yield records, per partition in order; stops when closed. Raises `Unavailable`."""
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            while not self._closing.is_set():
                polling = asyncio.ensure_future(self._poll())
                # A poll lasts as long as a rebalance does; stopping does not wait for that.
                await asyncio.wait({polling, closing}, return_when=asyncio.FIRST_COMPLETED)
                if not polling.done():
                    polling.cancel()
                    await asyncio.wait({polling})
                    return
                for book, messages in polling.result():
                    for message in messages:
                        if self._closing.is_set():
                            return
                        if not book.revoked:
                            yield Delivery(record_of(message, self._topics[message.topic]), (book, message.offset))
        finally:
            closing.cancel()

    def begin(self, delivery: Delivery) -> bool:
        """Say that work on a delivery begins, or goes on; False once its partition was given to somebody else."""
        book, offset = cast("tuple[Offsets, int]", delivery.position)
        return book.begin(offset)

    async def done(self, delivery: Delivery) -> None:
        """Say that a delivery is handled or parked."""
        book, offset = cast("tuple[Offsets, int]", delivery.position)
        book.done(offset)

    async def lag(self) -> dict[str, int]:
        """Return how many records wait, by channel."""
        waiting = dict.fromkeys(self._topics.values(), 0)
        for partition in self._consumer.assignment():
            with contextlib.suppress(IllegalStateError, TimeoutError):
                async with asyncio.timeout(_COMMIT_SECONDS):
                    done = await self._reached(partition)
                end = self._consumer.highwater(partition)
                waiting[self._topics[partition.topic]] += max(0, (end or done) - done)
        return waiting

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Begin nothing more of them, let what is at work finish, then commit: the next owner starts behind it."""
        self._assigned.clear()
        self._rebalances += 1
        self._misplaced.clear()
        books = [self._books[partition] for partition in revoked if partition in self._books]
        for book in books:
            book.revoke()
        try:
            async with asyncio.timeout(_REVOKE_SECONDS):
                for book in books:
                    await book.settled.wait()
        except TimeoutError:
            log.warning("work still in hand at a rebalance; its records come again", partitions=len(revoked))
        await self._commit()
        for partition in revoked:
            self._books.pop(partition, None)

    async def on_partitions_assigned(self, _: set[TopicPartition]) -> None:
        """Let the owner prepare; until then nothing is delivered."""
        try:
            if self._on_assigned is not None:
                await self._on_assigned()
        except Exception as error:  # noqa: BLE001 -- raised in `_poll`: aiokafka would log it and go on
            self._failure = error
        self._assigned.set()

    async def _poll(self) -> list[tuple[Offsets, list[ConsumerRecord]]]:
        fetched = await self._fetch()
        # aiokafka hands records out while it still tells us of their assignment: not before we know what is parked.
        await self._assigned.wait()
        if self._failure is not None:
            raise self._failure
        return fetched

    async def _fetch(self) -> list[tuple[Offsets, list[ConsumerRecord]]]:
        """Take what has come of all partitions that are not full; it counts as unfinished from now on."""
        full = {partition for partition, book in self._books.items() if len(book.unfinished) >= book.most}
        wanted = self._consumer.assignment() - full
        if full and not wanted:
            await asyncio.sleep(_SHORT_POLL_MILLISECONDS / 1_000)
            return []
        timeout = _SHORT_POLL_MILLISECONDS if full else _POLL_MILLISECONDS
        try:
            fetched = await self._arrived(*(wanted if full else ()), milliseconds=timeout)
        except (IllegalStateError, TimeoutError):
            return []  # one of them was taken from us just now, or nobody told its start: it comes up again
        except KafkaError as error:
            raise Unavailable("kafka", reason_of(error)) from error
        # No await since the records were handed out, so they belong to the assignment as it is.
        return [(self._booked(partition, messages), messages) for partition, messages in fetched.items()]

    async def _arrived(
        self, *wanted: TopicPartition, milliseconds: int
    ) -> Mapping[TopicPartition, list[ConsumerRecord]]:
        """Take what has come; note of which partitions the log has no such place."""
        await self._restart()
        while True:
            try:
                # Of many partitions that have no place, as at a group's first start, all are told without waiting.
                timeout = 0 if self._misplaced else milliseconds
                records: Mapping[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
                    *wanted, timeout_ms=timeout, max_records=_POLL_RECORDS
                )
            except NoOffsetForPartitionError as error:
                self._misplaced[error.args[0]] = None
            except OffsetOutOfRangeError as error:
                self._misplaced |= error.args[0]
            else:
                return records

    async def _restart(self) -> None:
        """Set what is misplaced to the first record of its partition: at once, as each question waits for a fetch."""
        misplaced, self._misplaced = self._misplaced, {}
        if not misplaced:
            return
        rebalances = self._rebalances
        async with asyncio.timeout(_START_SECONDS):
            starts: Mapping[TopicPartition, int] = await self._consumer.beginning_offsets(list(misplaced))
        if self._rebalances != rebalances:
            return  # whoever has them by now finds the same
        for partition, wanted in misplaced.items():
            self._begin(partition, starts[partition], wanted)

    def _begin(self, partition: TopicPartition, start: int, wanted: int | None) -> None:
        """Go on with a partition's first record; say what is lost where another was wanted."""
        self._consumer.seek(partition, start)
        # With a book its place is committed at once: were it lost before anything is read, nobody could tell.
        self._books.setdefault(partition, Offsets())
        if wanted is None:
            return
        where = {"topic": partition.topic, "partition": partition.partition}
        if (lost := start - wanted) > 0:
            self._lost[partition.topic].inc(lost)
            log.error("events were deleted before they were read", **where, first=wanted, last=start - 1, number=lost)
        else:
            # What is in hand keeps the old book: its offsets say nothing of this log.
            self._books[partition] = Offsets()
            log.error("a topic ends before what was read of it, and is read from its start", **where, wanted=wanted)

    def _booked(self, partition: TopicPartition, messages: list[ConsumerRecord]) -> Offsets:
        book = self._books.setdefault(partition, Offsets())
        book.take([message.offset for message in messages])
        sample = [len(message.value or b"") for message in messages[::_SAMPLED]]
        book.most = most_in_hand(sum(sample) / len(sample))
        return book

    async def _reached(self, partition: TopicPartition) -> int:
        """Return the offset up to which everything is finished; beyond the last record if nothing is in hand."""
        book = self._books.get(partition)
        if book is not None and book.unfinished:
            return book.committable()
        # Behind the last record may stand a transaction's end, which is nothing to wait for.
        position: int = await self._consumer.position(partition)
        return position

    async def _keep_committing(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_SECONDS)
            await self._commit()

    async def _commit(self) -> None:
        try:
            async with asyncio.timeout(_COMMITTED_SECONDS):
                books = dict(self._books)
                reached = {partition: await self._reached(partition) for partition in books}
                new = {
                    partition: offset
                    for partition, offset in reached.items()
                    if self._books.get(partition) is books[partition] and offset > books[partition].committed
                }
                if new:
                    await self._consumer.commit(new)
        except (KafkaError, TimeoutError) as error:
            # Not lost: the records come again, and their marks make them harmless.
            log.warning("offsets not committed", reason=reason_of(error))
            return
        for partition, offset in new.items():
            books[partition].committed = offset


def most_in_hand(mean_bytes: float) -> int:
    """Return how many records of a size one partition may have unfinished, so that memory is bounded whatever comes."""
    return max(1, min(_MOST_IN_HAND, int(_MOST_BYTES_IN_HAND / max(mean_bytes, 1.0))))


def record_of(message: ConsumerRecord, channel: str) -> Record:
    """Return a message as our record; what is no text in it is replaced, as a parked record has to be shown."""
    # To Kafka a header may have no value, as key and body may be missing.
    headers = tuple([(name, _text(value or b"")) for name, value in message.headers])
    return Record(channel, _text(message.key or b""), headers, message.value or b"")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").replace("\0", "\ufffd")  # PostgreSQL's text has no NUL
