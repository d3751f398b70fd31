"""Large records: what a topic takes of them at once, and how many of them a consumer holds."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from corelib.broker import Refused
from corelib.clock import SystemClock
from corelib.errors import Unavailable
from corelib.kafka.admin import new_topic
from corelib.kafka.broker import Kafka
from corelib.memory.store import Memory
from corelib.message import MAX_BYTES, Channel, Event, Record, Transport
from corelib.postgres.store import Postgres
from corelib.relay.log_relay import LogRelay
from corelib.testing.running import parts_running
from corelib.transaction import MAX_KEY_BYTES, Origin, Transaction, size_of

NARROW, WIDE = Channel(f"narrow-{uuid4().hex[:8]}", partitions=1), Channel(f"wide-{uuid4().hex[:8]}", partitions=1)
LARGEST = Channel(f"largest-{uuid4().hex[:8]}", partitions=1, max_bytes=MAX_BYTES[Transport.KAFKA])
_NARROW_BYTES = 150_000
_BODY = 40_000
_SET_FOR_THIS_TOPIC = 1  # ConfigSource of Kafka's protocol: DYNAMIC_TOPIC_CONFIG


class Noted(Event, type="test.sized.v1", channels=(NARROW,), key="name"):
    name: str
    number: int
    text: str


class Drawn(Event, type="test.drawn.v1", channels=(LARGEST,), key="name"):
    name: str
    text: str = ""


@pytest_asyncio.fixture
async def kafka(kafka_bootstrap: str) -> AsyncIterator[Kafka]:
    kafka = Kafka(kafka_bootstrap, prefix=f"t{uuid4().hex[:8]}-")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.create_topics([new_topic(kafka.topic(NARROW.name), 1, **{"max.message.bytes": str(_NARROW_BYTES)})])
    await admin.close()
    await kafka.provision([WIDE, LARGEST])
    await kafka.open()
    yield kafka
    await kafka.close()


def record(number: int, size: int = _BODY, channel: Channel = NARROW) -> Record:
    headers = (("ce_id", f"{channel.name}/{number}"), ("ce_type", "test.sized.v1"), ("ce_time", "2026-01-01T00:00:00Z"))
    return Record(channel=channel.name, key=f"k{number}", headers=headers, payload=bytes(size))


async def taken(kafka: Kafka, channel: Channel, count: int) -> list[str]:
    subscription = kafka.subscribe(f"g{uuid4().hex[:8]}", [channel])
    await subscription.open()
    try:
        async with asyncio.timeout(30):
            keys: list[str] = []
            async for delivery in subscription.deliveries():
                keys.append(delivery.record.key)
                if len(keys) == count:
                    break
            return keys
    finally:
        await subscription.close()


async def sent_in_the_end(kafka: Kafka, records: list[Record]) -> list[Refused]:
    """Send as a relay does: what failed again, until nothing is left but what will never be taken."""
    refused: list[Refused] = []
    async with asyncio.timeout(30):
        while records:
            try:
                outcomes = await kafka.send(records)
            except Unavailable:
                continue
            refused += [outcome for outcome in outcomes if isinstance(outcome, Refused)]
            records = [it for it, ok in zip(records, outcomes, strict=True) if not ok and not isinstance(ok, Refused)]
    return refused


async def test_batches_become_as_small_as_the_topic_wants_them(kafka: Kafka) -> None:
    assert await sent_in_the_end(kafka, [record(number) for number in range(30)]) == []
    assert await taken(kafka, NARROW, 30) == [f"k{number}" for number in range(30)]


async def test_a_record_that_the_topic_never_takes_is_refused_and_others_go_on(kafka: Kafka) -> None:
    large = record(1, _NARROW_BYTES + 10_000)
    (refused,) = await sent_in_the_end(kafka, [record(0), large, record(2), record(0, channel=WIDE)])
    assert f"{kafka.topic(NARROW.name)} takes no record so large" in refused.reason
    assert await taken(kafka, NARROW, 2) == ["k0", "k2"]
    assert await taken(kafka, WIDE, 1) == ["k0"]


@pytest.mark.parametrize("exactly_once", [True, False], ids=["exactly once", "plain"])
async def test_the_relay_between_logs_learns_it_too(
    kafka: Kafka, kafka_bootstrap: str, postgres_dsn: str, *, exactly_once: bool
) -> None:
    store = Postgres(postgres_dsn, schema=f"t{uuid4().hex[:12]}")
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset({Noted})))
    try:
        async with store.transaction() as tx:
            for number in range(30):
                tx.publish(Noted(name="k", number=number, text="x" * _BODY))
        sink = Kafka(kafka_bootstrap, prefix=kafka.topic(""), exactly_once=exactly_once).log("outbox")
        async with parts_running(
            LogRelay(store.log("kafka", frozenset({NARROW.name})), sink, store.committed(), store.parking)
        ):
            assert await taken(kafka, NARROW, 30) == ["k"] * 30
    finally:
        await store.close()


async def test_topics_are_made_to_take_the_largest_event_whatever_the_cluster_gives(
    kafka: Kafka, kafka_bootstrap: str
) -> None:
    resource = ConfigResource(ConfigResourceType.TOPIC, kafka.topic(LARGEST.name), {"max.message.bytes": ""})
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    (answer,) = await admin.describe_configs([resource])
    await admin.close()
    ((_, _, _, _, [(_, value, _, source, *_)]),) = answer.resources
    assert (int(value) > LARGEST.max_bytes, source) == (True, _SET_FOR_THIS_TOPIC)


@pytest.mark.parametrize("exactly_once", [True, False], ids=["exactly once", "plain"])
async def test_the_largest_event_that_may_be_declared_travels_by_the_relay_between_logs(
    kafka: Kafka, kafka_bootstrap: str, postgres_dsn: str, *, exactly_once: bool
) -> None:
    store = Postgres(postgres_dsn, schema=f"t{uuid4().hex[:12]}")
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset({Drawn})))
    try:
        async with store.transaction() as tx:
            tx.publish(largest(tx))
        sink = Kafka(kafka_bootstrap, prefix=kafka.topic(""), exactly_once=exactly_once).log("outbox")
        async with parts_running(
            LogRelay(store.log("kafka", frozenset({LARGEST.name})), sink, store.committed(), store.parking)
        ):
            assert await taken(kafka, LARGEST, 1) == ["k" * MAX_KEY_BYTES]
    finally:
        await store.close()


async def test_the_largest_event_that_may_be_declared_travels_by_any_other_relay(kafka: Kafka) -> None:
    store = Memory()
    await store.open(Origin("test", SystemClock(), frozenset({Drawn})))
    async with store.transaction() as tx:
        tx.publish(largest(tx))
        assert await sent_in_the_end(kafka, tx.outgoing) == []
    assert await taken(kafka, LARGEST, 1) == ["k" * MAX_KEY_BYTES]


def largest(tx: Transaction) -> Drawn:
    """Return an event of the size that is allowed, to the byte; with the longest key, as a batch has it too."""
    tx.publish(Drawn(name="k" * MAX_KEY_BYTES))
    room = LARGEST.max_bytes - size_of(tx.outgoing.pop())
    return Drawn(name="k" * MAX_KEY_BYTES, text="x" * room)


async def test_a_consumer_holds_a_bounded_number_of_bytes(kafka: Kafka) -> None:
    count, size = 240, 200_000
    assert await sent_in_the_end(kafka, [record(number, size, WIDE) for number in range(count)]) == []
    subscription = kafka.subscribe(f"g{uuid4().hex[:8]}", [WIDE])
    await subscription.open()
    deliveries = subscription.deliveries()
    try:
        held = [await asyncio.wait_for(anext(deliveries), 30)]
        following = asyncio.ensure_future(anext(deliveries))
        while (await asyncio.wait({following}, timeout=2.0))[0]:  # none more comes while these are not finished
            held.append(following.result())
            following = asyncio.ensure_future(anext(deliveries))
        assert len(held) * size < 20 * 1024 * 1024
        while len(held) < count:
            for delivery in held:
                await subscription.done(delivery)
            held.append(await asyncio.wait_for(following, 30))
            if len(held) < count:
                following = asyncio.ensure_future(anext(deliveries))
        assert [delivery.record.key for delivery in held] == [f"k{number}" for number in range(count)]
    finally:
        await subscription.close()
