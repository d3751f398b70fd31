"""What the tests of the relay between two logs write, and what they read back."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition

from corelib.broker import Outgoing
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Event
from corelib.outbox_log import OutboxLog
from corelib.postgres.store import Postgres
from corelib.relay.log_relay import LogRelay
from corelib.testing.running import parts_running, until

CHANNEL = Channel(f"noted-{uuid4().hex[:8]}", partitions=2)
CHANNELS = frozenset({CHANNEL.name})


class Noted(Event, type="test.noted.v1", channels=(CHANNEL,), key="name"):
    name: str
    number: int


def relay(store: Postgres, kafka: Kafka, **overridden: Any) -> LogRelay:
    source = overridden.get("source") or store.log("kafka", CHANNELS)
    sink = overridden.get("sink") or kafka.log("outbox")
    return LogRelay(source, sink, store.committed(), store.parking)


async def note(store: Postgres, *numbers: int, name: str = "k") -> None:
    async with store.transaction() as tx:
        for number in numbers:
            tx.publish(Noted(name=name, number=number))


async def leased(store: Postgres, holder: str = "me") -> OutboxLog:
    log = store.log("kafka", CHANNELS)
    assert await log.acquire(holder)
    return log


def numbers(rows: Sequence[Outgoing]) -> list[int]:
    return [Noted.model_validate_json(row[4]).number for row in rows]


async def following(log: OutboxLog, limit: int = 100) -> list[int]:
    chunk = await log.read(limit)
    return numbers(chunk.rows) if chunk else []


async def on_topic(kafka: Kafka, bootstrap: str) -> list[int]:
    """Return what a `read_committed` consumer sees of the topic by now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    places = [TopicPartition(kafka.topic(CHANNEL.name), n) for n in range(CHANNEL.partitions)]
    await consumer.start()
    try:
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        seen: list[int] = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for messages in (await consumer.getmany(*places, timeout_ms=100)).values():
                seen += [Noted.model_validate_json(message.value).number for message in messages]
        return seen
    finally:
        await consumer.stop()


async def delivered(store: Postgres, kafka: Kafka, bootstrap: str, last: int) -> list[int]:
    """Relay until a number is on the topic; return all of it."""

    async def there() -> bool:
        return last in await on_topic(kafka, bootstrap)

    async with parts_running(relay(store, kafka)):
        await until(there)
    return await on_topic(kafka, bootstrap)
