"""What a Kafka cluster may be set to, and a consumer that lags."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from corelib.aws.clients import Aws
from corelib.broker import Delivery
from corelib.doctor import topics
from corelib.doctor.finding import Level
from corelib.dynamo.store import Dynamo
from corelib.kafka.admin import Topic
from corelib.kafka.broker import Kafka
from corelib.kafka.lag import Lag
from corelib.message import Channel, Event, Record
from corelib.postgres.store import Postgres
from corelib.testing.running import until
from doctor.notes import NOTES, create, nothing, on_kafka, said


class Drawn(Event, type="test.drawn.v1", channels=(Channel("notes", partitions=1, max_bytes=600_000),), key="name"):
    name: str


async def test_a_topic_that_is_missing(kafka: Kafka) -> None:
    service, missing = on_kafka(kafka), f"problem topic {kafka.topic('notes')}: the topic does not exist"
    assert f"{missing}: events for it wait in the outbox, and so do those behind" in await said(topics.topics, service)
    service.store = Dynamo("notes", Aws())
    assert f"{missing}: events for it wait in the outbox; others flow" in await said(topics.topics, service)
    service.publishes = frozenset()  # but it is taken from
    assert f"{missing}: nothing that others publish to it is handled here" in await said(topics.topics, service)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ""),
        ({"retention.ms": "60000"}, "retention is 0:01:00, below the window of replay"),
        ({"retention.bytes": "1048576"}, "keeps 1 MiB of a partition, however young"),
        ({"retention.ms": "-1"}, "keeps events for ever"),
        ({"cleanup.policy": "compact"}, "it is compacted"),
        ({"max.message.bytes": "100000"}, "max.message.bytes is 100000"),
        ({"unclean.leader.election.enable": "true"}, "unclean leader election is on"),
    ],
)
async def test_settings_of_a_topic_that_break_promises(
    kafka: Kafka, kafka_bootstrap: str, settings: dict[str, str], expected: str
) -> None:
    await create(kafka, kafka_bootstrap, settings)
    found = [line for line in (await said(topics.topics, on_kafka(kafka))).splitlines() if not line.startswith("note")]
    assert len(found) == bool(expected)
    assert expected in "\n".join(found)


async def test_a_topic_that_takes_less_than_its_channel_declares(kafka: Kafka, kafka_bootstrap: str) -> None:
    await create(kafka, kafka_bootstrap, {"max.message.bytes": "500000"})
    assert "max.message.bytes" not in await said(topics.topics, on_kafka(kafka))
    service = on_kafka(kafka)
    service.publishes, service.routes = frozenset({Drawn}), []
    found = await said(topics.topics, service)
    assert "max.message.bytes is 500000: an event of 600000 bytes (Channel.max_bytes) is refused" in found
    assert "Set max.message.bytes=616384 or more" in found


async def test_a_topic_with_other_partitions_than_declared(kafka: Kafka, kafka_bootstrap: str) -> None:
    await create(kafka, kafka_bootstrap, partitions=3)
    about = f"note topic {kafka.topic('notes')}"
    assert f"{about}: has 3 partitions, declared are 1" in await said(topics.topics, on_kafka(kafka))


@pytest.mark.parametrize(
    ("replicas", "least", "brokers", "levels"),
    [
        (1, 1, 1, [Level.NOTE]),
        (1, 1, 3, [Level.PROBLEM]),
        (3, 1, 3, [Level.PROBLEM]),
        (3, 2, 3, []),
        (3, 3, 3, [Level.WARNING]),
    ],
)
def test_copies_of_what_was_acknowledged(replicas: int, least: int, brokers: int, levels: list[Level]) -> None:
    settings = {"min.insync.replicas": str(least), "unclean.leader.election.enable": "false"}
    found = topics.judge_replication(Topic("notes", (0,), replicas), settings, brokers)
    assert [each.level for each in found] == levels


async def test_a_consumer_that_is_behind_is_told_from_one_that_keeps_up_idles_or_is_not_there(
    kafka: Kafka, kafka_bootstrap: str
) -> None:
    await create(kafka, kafka_bootstrap)
    service, about = on_kafka(kafka), f"consumer {kafka.group('notes')}"
    waiting = f"3 records of topic {kafka.topic('notes')} wait, the oldest for 0:"
    assert f"warning {about}: no consumer is at work; nothing waits" in await said(topics.consumers, service)
    await kafka.send([Record("notes", "k", (), b"{}")] * 3)
    assert f"problem {about}: no consumer is at work; {waiting}" in await said(topics.consumers, service)

    subscription = kafka.subscribe("notes", [NOTES])
    await subscription.open(nothing)
    taken = [delivery async for delivery in first_of(subscription.deliveries(), 3)]
    behind = await said(topics.consumers, service, late=timedelta(microseconds=1))
    assert f"warning {about}: behind: {waiting}" in behind
    assert f"note {about}: keeps up: {waiting}" in await said(topics.consumers, service, late=timedelta(hours=1))

    for delivery in taken:
        assert subscription.begin(delivery)
        await subscription.done(delivery)

    async def idle() -> bool:
        return f"note {about}: idle" in await said(topics.consumers, service)

    await until(idle)
    await subscription.close()


async def test_marks_of_transactions_are_nothing_that_waits(kafka: Kafka, kafka_bootstrap: str) -> None:
    await create(kafka, kafka_bootstrap)
    partition = TopicPartition(kafka.topic("notes"), 0)
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, transactional_id=partition.topic) as producer:
        async with producer.transaction():
            await producer.send_and_wait(partition.topic, b"{}", partition=0)
        async with AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap) as consumer:
            await until(partial(ended, consumer, partition))
    await commit(kafka, kafka_bootstrap, 1)
    assert "nothing waits" in await said(topics.consumers, on_kafka(kafka))


async def commit(kafka: Kafka, bootstrap: str, offset: int) -> None:
    """Set the place of a group that nobody is in."""
    group, partition = kafka.group("notes"), TopicPartition(kafka.topic("notes"), 0)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as consumer:
        consumer.assign([partition])
        await consumer.commit({partition: offset})


async def test_what_was_deleted_before_it_was_read(kafka: Kafka, kafka_bootstrap: str) -> None:
    await create(kafka, kafka_bootstrap)
    service, topic = on_kafka(kafka), kafka.topic("notes")
    await kafka.send([Record("notes", "k", (), b"{}")] * 5)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(3)})
    assert "deleted" not in await said(topics.consumers, service)  # of a group that was never there
    await commit(kafka, kafka_bootstrap, 1)
    lost = f"problem consumer {kafka.group('notes')}: 2 records of topic {topic} were deleted before it read them"
    found = await said(topics.consumers, service)
    assert f"{lost} -> `corelib replay`" in found
    assert f"2 records of topic {topic} wait" in found
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(5)})
    found = await said(topics.consumers, service)
    assert f"4 records of topic {topic} were deleted before it read them" in found
    assert "nothing waits" in found
    await admin.close()


async def test_a_topic_made_anew_that_ends_before_the_groups_place(kafka: Kafka, kafka_bootstrap: str) -> None:
    await create(kafka, kafka_bootstrap)
    await kafka.send([Record("notes", "k", (), b"{}")] * 3)
    await commit(kafka, kafka_bootstrap, 10)
    found = await said(topics.consumers, on_kafka(kafka))
    assert f"3 records of topic {kafka.topic('notes')} wait" in found
    assert "deleted" not in found


@pytest.mark.parametrize(
    ("days", "settings", "expected"),
    [
        (5.0, {}, ""),
        (6.0, {}, "retention deletes what waits in topic notes in 1 day, 0:00:00"),
        (8.0, {}, "retention deletes what waits in topic notes in 0:00:00"),
        (8.0, {"retention.ms": "-1"}, ""),
        (8.0, {"cleanup.policy": "compact"}, ""),
    ],
)
def test_retention_that_comes_to_what_waits(days: float, settings: dict[str, str], expected: str) -> None:
    week = {"retention.ms": str(timedelta(days=7) // timedelta(milliseconds=1)), "cleanup.policy": "delete"}
    lag = Lag(records=1, seconds=timedelta(days=days).total_seconds())
    found = [each.what for each in topics.judge_left("consumer", "notes", lag, week | settings)]
    assert len(found) == bool(expected)
    assert expected in "".join(found)


async def ended(consumer: AIOKafkaConsumer, partition: TopicPartition) -> bool:
    """Tell whether the mark of the transaction's end stands behind its record."""
    return bool((await consumer.end_offsets([partition]))[partition] == 2)


async def first_of(deliveries: AsyncIterator[Delivery], count: int) -> AsyncIterator[Delivery]:
    for _ in range(count):
        yield await anext(deliveries)


async def test_a_store_that_keeps_events_longer_wants_topics_to_do_so_too(kafka: Kafka, kafka_bootstrap: str) -> None:
    day, three = timedelta(days=1), timedelta(days=3)
    await create(kafka, kafka_bootstrap, {"retention.ms": str(2 * day // timedelta(milliseconds=1))})
    service = on_kafka(kafka)
    assert "retention" not in await said(topics.topics, service)
    service.store = Postgres("postgresql://nobody@127.0.0.1:1/none", keep=three)
    found = await said(topics.topics, service)
    assert "retention is 2 days, 0:00:00, below the window of replay, 3 days, 0:00:00" in found
    assert f"Set retention.ms={three // timedelta(milliseconds=1)} or more" in found
