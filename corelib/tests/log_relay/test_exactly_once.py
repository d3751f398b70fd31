"""From PostgreSQL's outbox to Kafka exactly once: what crashes and zombies must not change."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from corelib.broker import Outgoing
from corelib.errors import LeaseLost
from corelib.headers import SMALL
from corelib.kafka.broker import Kafka
from corelib.outbox_log import OutboxLog
from corelib.postgres.log import PostgresLogTable
from corelib.postgres.store import Postgres
from corelib.testing.running import parts_running, until
from log_relay.notes import CHANNEL, CHANNELS, delivered, following, leased, note, on_topic, relay


class _DiesBeforeItsCursorMoves(OutboxLog):
    """The log of a relay that is killed after the broker's commit and before its own."""

    async def commit(self, position: Any) -> None:
        if position.id:
            raise asyncio.CancelledError
        await super().commit(position)


async def test_a_relay_killed_between_send_and_commit_sends_nothing_twice(
    store: Postgres, kafka: Kafka, kafka_bootstrap: str
) -> None:
    await note(store, *range(20))
    source = _DiesBeforeItsCursorMoves(PostgresLogTable(store._pool, "kafka", CHANNELS), "kafka")
    with pytest.raises(asyncio.CancelledError):
        await relay(store, kafka, source=source).run(asyncio.Event())
    assert sorted(await on_topic(kafka, kafka_bootstrap)) == list(range(20))

    await note(store, 20)
    assert await delivered(store, kafka, kafka_bootstrap, last=20) == list(range(21))


async def test_what_a_relay_had_half_sent_when_it_died_is_seen_by_nobody(
    store: Postgres, kafka: Kafka, kafka_bootstrap: str
) -> None:
    await note(store, *range(10))
    log, sink = await leased(store, "the dead"), kafka.log("outbox")
    assert await sink.begin() is None
    chunk = await log.read(100)
    assert chunk
    await sink.send(chunk.rows, chunk.receipt)
    assert await on_topic(kafka, kafka_bootstrap) == []

    await log.release()
    assert await delivered(store, kafka, kafka_bootstrap, last=9) == list(range(10))
    await sink.close()
    assert await on_topic(kafka, kafka_bootstrap) == list(range(10))


async def test_what_was_not_committed_when_the_relay_stopped_holds_up_no_reader(
    store: Postgres, kafka: Kafka, kafka_bootstrap: str
) -> None:
    await note(store, 1)
    log, sink = await leased(store), kafka.log("outbox")
    await sink.begin()
    chunk = await log.read(1)
    assert chunk
    await sink.send(chunk.rows, chunk.receipt)
    await sink.close()
    other = kafka.log("another")
    await other.begin()
    await other.send(chunk.rows, chunk.receipt)
    await other.commit()
    await other.close()
    assert await on_topic(kafka, kafka_bootstrap) == [1]


async def test_a_relay_that_was_only_thought_dead_can_send_nothing_more(
    store: Postgres, kafka: Kafka, kafka_bootstrap: str
) -> None:
    await note(store, 1)
    log, zombie, successor = await leased(store), kafka.log("outbox"), kafka.log("outbox")
    chunk = await log.read(1)
    assert chunk
    await zombie.begin()
    await successor.begin()
    with pytest.raises(LeaseLost):
        await zombie.send(chunk.rows, chunk.receipt)
    assert await on_topic(kafka, kafka_bootstrap) == []
    await successor.send(chunk.rows, chunk.receipt)
    await successor.commit()
    await successor.close()
    assert await on_topic(kafka, kafka_bootstrap) == [1]


async def test_a_receipt_says_how_far_the_last_relay_came(store: Postgres, kafka: Kafka) -> None:
    await note(store, 1, 2)
    log, sink = await leased(store), kafka.log("outbox")
    await sink.begin()
    first = await log.read(1)
    assert first
    await sink.send(first.rows, first.receipt)
    await sink.commit()
    await sink.close()
    await log.release()

    other, next_sink = await leased(store, "other"), kafka.log("outbox")
    receipt = await next_sink.begin()
    await next_sink.close()
    assert receipt == first.receipt
    await other.recover(receipt)
    assert await following(other) == [2]


async def test_what_another_outbox_has_under_way_hides_no_receipt(store: Postgres, kafka: Kafka) -> None:
    await note(store, 1)
    log, sink, other = await leased(store), kafka.log("outbox"), kafka.log("another")
    chunk = await log.read(1)
    assert chunk
    await other.begin()
    await other.send(chunk.rows, b"never committed")
    await sink.begin()
    await sink.send(chunk.rows, chunk.receipt)
    await sink.commit()
    successor = kafka.log("outbox")
    assert await successor.begin() == chunk.receipt
    for each in (sink, other, successor):
        await each.close()


async def test_the_last_receipt_is_found_behind_any_number_of_what_was_given_up(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corelib.kafka.log._RECENT", 2)
    sink = kafka.log("outbox")
    await sink.begin()
    await sink.send([], b"kept")
    await sink.commit()
    for _ in range(3):
        await sink.send([], b"given up")
        await sink.close()
        assert await sink.begin() == b"kept"
    await sink.close()


async def test_an_old_receipt_takes_nothing_back(store: Postgres) -> None:
    await note(store, 1, 2)
    log = await leased(store)
    first = await log.read(1)
    second = await log.read(1)
    assert first
    assert second
    await log.commit(second.after)
    await log.recover(first.receipt)
    assert await following(log) == []


async def test_a_receipt_of_another_database_says_nothing(store: Postgres) -> None:
    await note(store, 1)
    log = await leased(store)
    chunk = await log.read(1)
    assert chunk
    log.rewind()
    await log.recover(chunk.after.receipt("another database", "an event"))
    assert await following(log) == [1]


async def test_events_written_while_the_relay_runs_arrive_once_in_order_of_their_keys(
    store: Postgres, kafka: Kafka, kafka_bootstrap: str
) -> None:
    async def there() -> bool:
        return len(await on_topic(kafka, kafka_bootstrap)) >= 200

    async with parts_running(relay(store, kafka), relay(store, kafka)):
        for number in range(200):
            await note(store, number, name=f"key-{number % 5}")
        await until(there)
    seen = await on_topic(kafka, kafka_bootstrap)
    assert sorted(seen) == list(range(200))
    for key in range(5):
        assert [n for n in seen if n % 5 == key] == list(range(key, 200, 5))


async def test_partitions_that_a_topic_is_given_are_used(kafka: Kafka, kafka_bootstrap: str) -> None:
    """As everybody else does: a key must not stand in two partitions for longer than metadata take to tell."""
    topic = kafka.topic(CHANNEL.name)
    sink, row = kafka.log("outbox"), Outgoing(CHANNEL.name, "k", 6, SMALL[0], b"{}")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await consumer.start()
    try:
        await sink.begin()
        await sink.send([row], b"one")
        await sink.commit()
        await admin.create_partitions({topic: NewPartitions(total_count=7)})
        assert sink._producer

        async def told() -> bool:
            assert sink._producer
            await sink._producer.client.force_metadata_update()
            return len(await sink._producer.partitions_for(topic)) == 7

        await until(told)
        await sink.send([row], b"two")
        await sink.commit()
        places = [TopicPartition(topic, number) for number in range(7)]
        ends = await consumer.end_offsets(places)
        assert [place.partition for place in places if ends[place]] == [0, 6]
    finally:
        await sink.close()
        await consumer.stop()
        await admin.close()
