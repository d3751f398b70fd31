"""What a topic deleted before it was read is told, and a topic made anew is read from its start."""

import asyncio
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from contract.stand import TOPIC, Counted, record
from corelib.actor import Actor, receive
from corelib.broker import Delivery
from corelib.consumer.consumer import Consumer
from corelib.kafka.broker import Kafka
from corelib.kafka.subscription import KafkaSubscription
from corelib.message import Channel, Record
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.testing.running import parts_running, until

NOTES = Channel("notes", partitions=1)
GROUP = "readers"
LOST = "events were deleted before they were read"
ANEW = "a topic ends before what was read of it, and is read from its start"


@dataclass(frozen=True)
class Log:
    """A topic of one partition, and what is done to it behind its readers' back."""

    kafka: Kafka
    admin: AIOKafkaAdminClient

    @property
    def partition(self) -> TopicPartition:
        return TopicPartition(self.kafka.topic(NOTES.name), 0)

    async def write(self, *numbers: int, size: int = 1) -> None:
        assert all(await self.kafka.send([Record(NOTES.name, f"k{n}", (), b"%d" % n * size) for n in numbers]))

    async def delete(self, up_to: int) -> None:
        await self.admin.delete_records({self.partition: RecordsToDelete(up_to)})

    async def make_anew(self) -> None:
        await remake(self.kafka, self.admin, NOTES)

    async def committed(self) -> int | None:
        """Return the group's place as the broker knows it."""
        offsets = await self.admin.list_consumer_group_offsets(self.kafka.group(GROUP))
        return offsets[self.partition].offset if self.partition in offsets else None

    def reached(self, offset: int) -> Callable[[], Any]:
        async def condition() -> bool:
            return await self.committed() == offset

        return condition

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[tuple[KafkaSubscription, AsyncIterator[Delivery]]]:
        subscription = cast("KafkaSubscription", self.kafka.subscribe(GROUP, [NOTES]))
        await subscription.open()
        try:
            yield subscription, subscription.deliveries()
        finally:
            await subscription.close()

    async def read(self, count: int) -> list[int]:
        """Handle so many records as a replica that stops then, and return their offsets."""
        async with self.reading() as (subscription, deliveries):
            return [offset(await handled(subscription, deliveries)) for _ in range(count)]


async def handled(subscription: KafkaSubscription, deliveries: AsyncIterator[Delivery]) -> Delivery:
    delivery = await asyncio.wait_for(anext(deliveries), 60)
    assert subscription.begin(delivery)
    await subscription.done(delivery)
    return delivery


def offset(delivery: Delivery) -> int:
    return cast("tuple[object, int]", delivery.position)[1]


async def remake(kafka: Kafka, admin: AIOKafkaAdminClient, channel: Channel) -> None:
    await admin.delete_topics([kafka.topic(channel.name)])

    async def gone() -> bool:
        return bool(await kafka.missing([channel]))

    await until(gone)
    await kafka.provision([channel])


@pytest_asyncio.fixture
async def admin(kafka_bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    yield admin
    await admin.close()


@pytest_asyncio.fixture
async def log(kafka: Kafka, admin: AIOKafkaAdminClient) -> Log:
    await kafka.provision([NOTES])
    return Log(kafka, admin)


def counted() -> float:
    return REGISTRY.get_sample_value("events_lost_total", {"channel": NOTES.name}) or 0.0


def told(logs: Sequence[MutableMapping[str, Any]], log: Log) -> list[tuple[int, int, int]]:
    """Return the losses that were told of a topic: the first, the last, and how many."""
    losses = [line for line in logs if line["event"] == LOST]
    assert all(line["log_level"] == "error" for line in losses)
    assert all((line["topic"], line["partition"]) == log.partition for line in losses)
    return [(line["first"], line["last"], line["number"]) for line in losses]


async def test_what_was_deleted_while_the_group_was_away_is_told_once(log: Log) -> None:
    await log.write(*range(10))
    assert await log.read(3) == [0, 1, 2]
    await log.delete(5)
    before = counted()
    with capture_logs() as logs:
        assert await log.read(1) == [5]
        assert await log.read(2) == [6, 7]
    assert told(logs, log) == [(3, 4, 2)]
    assert counted() - before == 2


async def test_all_that_waited_is_deleted_and_told_once(log: Log) -> None:
    await log.write(*range(10))
    await log.read(3)
    await log.delete(10)
    with capture_logs() as logs:
        async with log.reading() as (_, deliveries):
            waiting = asyncio.ensure_future(anext(deliveries))
            await until(log.reached(10))
            waiting.cancel()
            await asyncio.wait([waiting])
        await log.write(10)
        assert await log.read(1) == [10]
    assert told(logs, log) == [(3, 9, 7)]


async def test_what_is_deleted_under_a_slow_reader_is_told(log: Log) -> None:
    """aiokafka reads a mebibyte or two ahead, of 3.6 here."""
    await log.write(*range(100, 220), size=10_000)
    before = counted()
    with capture_logs() as logs:
        async with log.reading() as (subscription, deliveries):
            seen = [offset(await handled(subscription, deliveries))]
            await log.delete(110)
            while seen[-1] < 119:
                seen.append(offset(await handled(subscription, deliveries)))
            await until(log.reached(120))
    held = seen.index(110)
    assert 1 < held < 110
    assert seen == [*range(held), *range(110, 120)]
    assert told(logs, log) == [(held, 109, 110 - held)]
    assert counted() - before == 110 - held


async def test_the_first_start_of_a_group_is_no_loss(log: Log) -> None:
    await log.write(*range(10))
    await log.delete(5)
    before = counted()
    with capture_logs() as logs:
        assert await log.read(1) == [5]
    assert told(logs, log) == []
    assert counted() == before


async def test_a_group_that_was_there_and_had_nothing_to_read_is_told_what_it_missed(log: Log) -> None:
    async with log.reading() as (_, deliveries):
        waiting = asyncio.ensure_future(anext(deliveries))
        await until(log.reached(0))
        waiting.cancel()
        await asyncio.wait([waiting])
    await log.write(*range(10))
    await log.delete(5)
    with capture_logs() as logs:
        assert await log.read(1) == [5]
    assert told(logs, log) == [(0, 4, 5)]


async def test_the_first_start_of_a_group_asks_for_the_begin_of_all_partitions_together(
    kafka: Kafka, admin: AIOKafkaAdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question waits behind a fetch that waits for records: one by one, 200 partitions took ten seconds."""
    wide = Channel("wide", partitions=20)
    await kafka.provision([wide])
    subscription = cast("KafkaSubscription", kafka.subscribe(GROUP, [wide]))
    await subscription.open()
    asked: list[int] = []
    beginning_offsets = subscription._consumer.beginning_offsets

    async def counted_in(partitions: Sequence[TopicPartition]) -> Any:
        asked.append(len(partitions))
        return await beginning_offsets(partitions)

    monkeypatch.setattr(subscription._consumer, "beginning_offsets", counted_in)

    async def placed() -> bool:
        return len(await admin.list_consumer_group_offsets(kafka.group(GROUP))) == wide.partitions

    try:
        reading = asyncio.ensure_future(anext(subscription.deliveries()))
        await until(placed)
        assert sum(asked) >= wide.partitions
        assert len(asked) <= 3
        assert all(await kafka.send([Record(wide.name, "k", (), b"1")]))
        assert (await reading).record.payload == b"1"
    finally:
        await subscription.close()


async def test_a_topic_made_anew_under_a_reader_is_read_from_its_start_and_counted_from_there(log: Log) -> None:
    await log.write(*range(10))
    async with log.reading() as (subscription, deliveries):
        for _ in range(10):
            await handled(subscription, deliveries)
        await until(log.reached(10))
        # Who looks at a topic while there is none sees it go, and the new one come as at a first start.
        subscription._consumer.pause(log.partition)
        await until(lambda: not subscription._consumer._fetcher._in_flight)
        await log.make_anew()
        await log.write(*range(20, 23))
        with capture_logs() as logs:
            subscription._consumer.resume(log.partition)
            found = [await handled(subscription, deliveries) for _ in range(3)]
        assert [(offset(each), each.record.payload) for each in found] == [(0, b"20"), (1, b"21"), (2, b"22")]
        await until(log.reached(3))
    assert told(logs, log) == []
    assert [(line["log_level"], line["wanted"]) for line in logs if line["event"] == ANEW] == [("error", 10)]


@dataclass(frozen=True)
class Watcher(Actor):
    @receive
    async def seen(self, event: Counted, tx: PostgresTransaction) -> None:
        await tx.execute("INSERT INTO seen (name, number) VALUES ($1, $2)", event.name, event.number)


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
async def test_a_topic_made_anew_that_ends_before_the_groups_place_has_each_effect_once(
    store: Postgres, kafka: Kafka, admin: AIOKafkaAdminClient, kafka_bootstrap: str
) -> None:
    """Replayed into it is what was handled before, and behind that stands what was not."""

    async def rows() -> list[int]:
        return [row["number"] for row in await store.pool.fetch("SELECT number FROM seen ORDER BY n")]

    def has(count: int) -> Callable[[], Any]:
        async def condition() -> bool:
            return len(await rows()) >= count

        return condition

    consumer = Consumer(lambda: kafka.subscribe("test", [TOPIC]), list(Watcher().routes()), store)
    sent = [record("k", number) for number in range(6)]
    await kafka.send(sent)
    async with parts_running(consumer):
        await until(has(6))
    await remake(kafka, admin, TOPIC)
    partitions = [TopicPartition(kafka.topic(TOPIC.name), number) for number in range(2)]
    group = kafka.group("test")
    async with AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap, group_id=group, enable_auto_commit=False) as other:
        # Kafka forgets a group's place with the topic; a replica that has not heard of it commits it again.
        other.assign(partitions)
        await other.commit(dict.fromkeys(partitions, 100))
    await kafka.send([*sent, record("k", 6)])
    with capture_logs() as logs:
        async with parts_running(consumer):
            await until(has(7))
    assert await rows() == [0, 1, 2, 3, 4, 5, 6]
    assert ANEW in [line["event"] for line in logs]
