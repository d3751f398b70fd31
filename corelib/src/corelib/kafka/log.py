"""Carries an outbox's log to Kafka: prebuilt batches, and in exactly-once mode the position in the same transaction.

Exactly once (KIP-98): rows and the receipt of their position are one Kafka transaction under a `transactional.id` that
names the outbox. A relay that dies between sending and moving its cursor leaves a receipt that the next one goes on
from; what it had half sent is aborted and seen by no `read_committed` consumer; and if it was only thought dead, the
next one's start has fenced it.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerFenced
from aiokafka.producer import sender

from corelib.broker import Outgoing
from corelib.errors import LeaseLost, NeverTaken, Unavailable
from corelib.headers import SMALL
from corelib.kafka.admin import administering, create, new_topic, topics_of
from corelib.kafka.batches import LARGEST_BYTES, BatchSizes, as_large, encode, too_large
from corelib.kafka.cluster import Cluster, reason_of, unseen
from corelib.kafka.ending import STOP_SECONDS, end
from corelib.kafka.producer import starting

_RECENT = 1_000  # offsets, of receipts and of the marks that end their transactions
_DEADLINE_SECONDS = 30.0
_METADATA_SECONDS = 10.0
_NO_HEADERS = SMALL[0]

# aiokafka rests 20 ms between two transactions while the broker finishes the first; it takes 1.
sender.BACKOFF_OVERRIDE = 0.001

log = structlog.get_logger(__name__)


class KafkaLog:
    """A producer for one outbox. `name` is unique to it among all services of the cluster."""

    def __init__(self, cluster: Cluster, name: str, *, prefix: str = "", exactly_once: bool = True) -> None:
        self._cluster = cluster
        self._prefix = prefix
        self._name = f"{prefix}{name}"
        self._exactly_once = exactly_once
        self._producer: AIOKafkaProducer | None = None
        self._uncommitted = False
        self._sizes = BatchSizes()

    @property
    def keeps_receipts(self) -> bool:
        """Whether the position goes along with the rows."""
        return self._exactly_once

    async def begin(self) -> bytes | None:
        """Connect, shut out whoever sent under this name before, return the receipt of its last transaction.

        None when there is none, or in plain mode. Raises `Unavailable`.
        """
        await self.close()
        if self._exactly_once:
            await self._make_receipts()
        name = self._name if self._exactly_once else None
        async with starting(self._cluster, seconds=_DEADLINE_SECONDS, batches=8, transactional_id=name) as producer:
            receipt = await self._last_receipt() if self._exactly_once else None
        self._producer = producer
        return receipt

    async def close(self) -> None:
        """Disconnect; a transaction that was not committed is aborted, so that readers wait for nothing."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer, abort=self._uncommitted)
        self._uncommitted = False

    async def send(self, rows: Sequence[Outgoing], receipt: bytes) -> None:
        """Send all, of each partition in order; all are acknowledged, or `Unavailable` or `LeaseLost` is raised.

        Raises `NeverTaken` with rows that are too large for their topic. After a failure `begin` again.
        """
        try:
            async with self._at_work() as producer:
                if not self._exactly_once:
                    await self._send_all(producer, rows)
                    return
                await producer.begin_transaction()
                self._uncommitted = True
                await asyncio.gather(self._send_all(producer, rows), self._send_receipt(producer, receipt))
        except NeverTaken as error:
            raise NeverTaken(as_large(rows, *error.rows), error.reason) from error

    async def commit(self) -> None:
        """Show what was sent to everybody. Raises as `send` does."""
        if self._exactly_once:
            async with self._at_work() as producer:
                self._uncommitted = False
                await producer.commit_transaction()

    @contextlib.asynccontextmanager
    async def _at_work(self) -> AsyncIterator[AIOKafkaProducer]:
        """Give the producer; what fails, or takes too long, ends it."""
        producer = self._producer
        if producer is None:
            raise Unavailable("kafka", "not connected")
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                yield producer
        except ProducerFenced as error:
            self._uncommitted = False  # by whoever fenced it
            await self.close()
            raise LeaseLost(f"another relay sends under the name {self._name}") from error
        except (KafkaError, TimeoutError) as error:
            cause = _cause(producer) or error
            await self.close()
            raise Unavailable("kafka", reason_of(cause)) from error
        except NeverTaken:
            await self.close()
            raise

    async def _send_all(self, producer: AIOKafkaProducer, rows: Sequence[Outgoing]) -> None:
        # Asked anew each time, as the producer's metadata tell: a topic may get more of them, and others heed that.
        partitions = {channel: await self._count_partitions(producer, channel) for channel in {row[0] for row in rows}}
        groups: dict[tuple[str, int], list[Outgoing]] = defaultdict(list)
        for row in rows:
            channel = row[0]
            groups[channel, row[2] % partitions[channel]].append(row)
        await asyncio.gather(*(self._send_partition(producer, *place, group) for place, group in groups.items()))

    async def _count_partitions(self, producer: AIOKafkaProducer, channel: str) -> int:
        topic = f"{self._prefix}{channel}"
        try:
            async with asyncio.timeout(_METADATA_SECONDS):
                return len(await producer.partitions_for(topic))
        except (KafkaError, TimeoutError) as error:
            raise Unavailable("kafka", unseen(topic, error)) from error

    async def _send_partition(
        self, producer: AIOKafkaProducer, channel: str, partition: int, rows: Sequence[Outgoing]
    ) -> None:
        topic, sent = f"{self._prefix}{channel}", 0
        for batch in encode(rows, self._sizes.of(channel), transactional=self._exactly_once):
            # The next batch of a partition only after the last one's acknowledgement: order survives any failure.
            try:
                await (await producer.send_batch(batch, topic, partition=partition))
            except MessageSizeTooLargeError as error:
                reason = too_large(topic, batch.record_count())
                if batch.record_count() == 1:
                    raise NeverTaken([rows[sent]], reason) from error
                self._sizes.refused(channel, batch.size())
                raise Unavailable("kafka", reason) from error
            sent += batch.record_count()

    async def _send_receipt(self, producer: AIOKafkaProducer, receipt: bytes) -> None:
        (batch,) = encode([Outgoing("", self._name, 0, _NO_HEADERS, receipt)], LARGEST_BYTES, transactional=True)
        await (await producer.send_batch(batch, receipts_of(self._name), partition=0))

    async def _make_receipts(self) -> None:
        topic = new_topic(receipts_of(self._name), 1, **{"cleanup.policy": "compact", "segment.ms": "600000"})
        async with administering(self._cluster) as admin, asyncio.timeout(_DEADLINE_SECONDS):
            # Whoever may not create topics is no worse off where somebody else did.
            if not await topics_of(admin, [topic.name]):
                await create(admin, [topic])

    async def _last_receipt(self) -> bytes | None:
        consumer = AIOKafkaConsumer(**self._cluster.options, isolation_level="read_committed", enable_auto_commit=False)
        place = TopicPartition(receipts_of(self._name), 0)
        try:
            await consumer.start()
            consumer.assign([place])
            first, last = (
                (await consumer.beginning_offsets([place]))[place],
                (await consumer.end_offsets([place]))[place],
            )
            for start in (max(first, last - _RECENT), first):
                if (found := await _last_between(consumer, place, start, last)) is not None:
                    return found
        finally:
            await end(consumer)
        return None


def receipts_of(transactional_id: str) -> str:
    """Return the topic of an outbox's receipts.

    One for each: what another outbox has under way would hide the last receipts from who reads committed ones only.
    """
    return f"{transactional_id}-receipts"


async def _last_between(consumer: AIOKafkaConsumer, place: TopicPartition, start: int, end: int) -> bytes | None:
    found: bytes | None = None
    consumer.seek(place, start)
    while await consumer.position(place) < end:
        for message in (await consumer.getmany(place, timeout_ms=200)).get(place, ()):
            found = message.value
    return found


def _cause(producer: AIOKafkaProducer) -> BaseException | None:
    """Return what a transaction failed of at first.

    aiokafka sends on into one that has failed, for want of a right to a topic, and raises the broker's answer to that.
    """
    ending: asyncio.Future[None] | None = producer._txn_manager.wait_for_transaction_end()  # noqa: SLF001 -- no other way
    return ending.exception() if ending is not None and ending.done() else None


async def _stop(producer: AIOKafkaProducer, *, abort: bool = False) -> None:
    """Stop a producer that may be beyond saving."""
    patience = STOP_SECONDS
    try:
        async with asyncio.timeout(STOP_SECONDS):
            if abort:
                await producer.abort_transaction()
    except (KafkaError, TimeoutError) as error:
        log.debug("a transaction is left for the next producer to abort", reason=reason_of(error))
        patience = 0.0
    finally:
        await end(producer, seconds=patience)
