"""What a topic never takes waits with its key, whatever crashes; other keys flow, to a log each event once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from corelib.broker import LogSink, Outgoing
from corelib.clock import SystemClock
from corelib.errors import NeverTaken, Unavailable
from corelib.kafka.admin import administering
from corelib.kafka.broker import Kafka
from corelib.kafka.cluster import Cluster
from corelib.memory.broker import MemoryBroker
from corelib.memory.store import Memory
from corelib.message import Channel, Event, Record
from corelib.postgres.store import Postgres
from corelib.relay.log_relay import LogRelay
from corelib.relay.parking import Resender
from corelib.testing.running import parts_running, until
from corelib.transaction import Origin

NARROW = Channel(f"narrow-{uuid4().hex[:8]}", partitions=1)
WIDE = Channel(f"wide-{uuid4().hex[:8]}", partitions=1)
CHANNELS = frozenset({NARROW.name, WIDE.name})
HANDLER = f"relay-kafka/{NARROW.name}"
_NARROW_BYTES, _WIDE_BYTES, _TOO_LARGE = 50_000, 500_000, 60_000


class Noted(Event, type="test.noted.v1", channels=(NARROW,), key="name"):
    name: str
    number: int
    text: str = ""


class Told(Event, type="test.told.v1", channels=(WIDE,), key="name"):
    name: str
    number: int
    text: str = ""


@dataclass
class Stand:
    """An outbox, and a broker one of whose topics takes less than `publish` does."""

    store: Any
    broker: Any
    bootstrap: str = ""

    def relay(self, sink: LogSink | None = None) -> LogRelay:
        source, sink = self.store.log("kafka", CHANNELS), sink or self.broker.log("outbox")
        return LogRelay(source, sink, self.store.committed(), self.store.parking)

    def resender(self) -> Resender:
        return Resender("kafka", self.store.parking, self.broker, every_seconds=0.05)

    async def publish(self, *events: Event) -> None:
        async with self.store.transaction() as tx:
            for event in events:
                tx.publish(event)

    async def narrow(self, size: int) -> None:
        if not self.bootstrap:
            self.broker.cluster.max_record_bytes = size
            return
        topic, limit = self.broker.topic(NARROW.name), {"max.message.bytes": str(size)}
        async with administering(Cluster(self.bootstrap)) as admin:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=limit)])

    async def on(self, channel: Channel) -> dict[str, list[int]]:
        """Return the numbers of each key that a topic holds, in order."""
        end = Record(channel.name, "the end", (), uuid4().bytes)
        # A producer that the resender's refusal has just spoilt fails, and the next send takes another.
        await until(lambda: self._takes(end))
        found: dict[str, list[int]] = {}
        subscription = self.broker.subscribe(f"g{uuid4().hex[:8]}", [channel])
        await subscription.open()
        try:
            async with asyncio.timeout(30):
                async for delivery in subscription.deliveries():
                    record = delivery.record
                    if record.payload == end.payload:
                        return found
                    if record.key != end.key:
                        found.setdefault(record.key, []).append(number_of(record))
        finally:
            await subscription.close()
        raise AssertionError("the subscription ended before the topic did")

    async def _takes(self, record: Record) -> bool:
        try:
            [sent] = await self.broker.send([record])
        except Unavailable:
            return False
        return sent is True

    async def parked(self, key: str = "bad") -> list[int]:
        return [number_of(each.record) for each in await self.store.parking.list(HANDLER, key)]

    async def nothing_parked(self) -> bool:
        return not await self.store.parking.keys()


def number_of(record: Record) -> int:
    return Noted.model_validate_json(record.payload).number


def large(number: int, name: str = "bad", size: int = _TOO_LARGE) -> Noted:
    return Noted(name=name, number=number, text="x" * size)


@pytest_asyncio.fixture(params=["exactly once", "plain", "memory"])
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    name = f"t{uuid4().hex[:10]}"
    if request.param == "memory":
        stand = Stand(Memory(), MemoryBroker())
    else:
        bootstrap = request.getfixturevalue("kafka_bootstrap")
        kafka = Kafka(bootstrap, prefix=f"{name}-", exactly_once=request.param == "exactly once")
        stand = Stand(Postgres(request.getfixturevalue("postgres_dsn"), schema=name), kafka, bootstrap)
    await stand.broker.provision([NARROW, WIDE])
    await stand.narrow(_NARROW_BYTES)
    await stand.broker.open()
    await stand.store.provision()
    await stand.store.open(Origin("test", SystemClock(), frozenset({Noted, Told})))
    yield stand
    await stand.store.close()
    await stand.broker.close()


def once(numbers: Sequence[int], stand: Stand) -> list[int]:
    """Plain mode sends a chunk again of which something was refused."""
    return list(numbers) if stand.broker.log("outbox").keeps_receipts else list(dict.fromkeys(numbers))


async def test_an_event_too_large_for_its_topic_is_parked_with_its_key_and_others_flow(stand: Stand) -> None:
    await stand.publish(Noted(name="good", number=1), large(2), Noted(name="bad", number=3), Told(name="bad", number=4))
    async with parts_running(stand.relay()):
        await until(lambda: flowed(stand, NARROW, good=[1]))
        await until(lambda: flowed(stand, WIDE, bad=[4]))
        assert await stand.parked() == [2, 3]
        await stand.publish(Noted(name="bad", number=5), Noted(name="good", number=6))
        await until(lambda: flowed(stand, NARROW, good=[1, 6], bad=[]))
    assert await stand.parked() == [2, 3, 5]
    [first, second, _] = await stand.store.parking.list(HANDLER, "bad")
    assert "large" in first.reason or str(_NARROW_BYTES) in first.reason
    assert (first.attempts, second.attempts) == (1, 0)


async def flowed(stand: Stand, channel: Channel, **expected: list[int]) -> bool:
    found = await stand.on(channel)
    return {key: once(found.get(key, []), stand) for key in expected} == expected


async def test_a_parked_key_flows_again_in_order_once_its_topic_is_wide_enough(stand: Stand) -> None:
    await stand.publish(large(1), Noted(name="bad", number=2))
    async with parts_running(stand.relay(), stand.resender()):
        await until(lambda: attempted(stand, 3))
        await stand.publish(Noted(name="bad", number=3))
        await stand.narrow(_WIDE_BYTES)
        await until(lambda: flowed(stand, NARROW, bad=[1, 2, 3]))
        await until(stand.nothing_parked)
        await stand.publish(Noted(name="bad", number=4), large(5))
        await until(lambda: flowed(stand, NARROW, bad=[1, 2, 3, 4, 5]))


async def attempted(stand: Stand, times: int) -> bool:
    parked = await stand.store.parking.list(HANDLER, "bad")
    return bool(parked) and parked[0].attempts >= times


async def test_what_was_published_before_a_refused_event_is_sent_before_it(stand: Stand) -> None:
    await stand.publish(Noted(name="bad", number=1), large(2), Noted(name="bad", number=3), large(4))
    async with parts_running(stand.relay(), stand.resender()):
        await until(lambda: parked(stand, 2, 3, 4))
        assert await flowed(stand, NARROW, bad=[1])
        await stand.narrow(_WIDE_BYTES)
        await until(lambda: flowed(stand, NARROW, bad=[1, 2, 3, 4]))


async def parked(stand: Stand, *numbers: int) -> bool:
    return await stand.parked() == list(numbers)


class Watched:
    """A sink that counts refusals, and whose relay, if wanted, is killed once it has parked what one was about."""

    def __init__(self, sink: LogSink, *, dies: bool = False) -> None:
        self._sink = sink
        self._dies = dies
        self.keeps_receipts = sink.keeps_receipts
        self.refusals = 0

    async def begin(self) -> bytes | None:
        if self.refusals and self._dies:
            raise asyncio.CancelledError
        return await self._sink.begin()

    async def send(self, rows: Sequence[Outgoing], receipt: bytes) -> None:
        try:
            await self._sink.send(rows, receipt)
        except NeverTaken:
            self.refusals += 1
            raise

    async def commit(self) -> None:
        await self._sink.commit()

    async def close(self) -> None:
        await self._sink.close()


async def test_a_relay_killed_between_parking_and_sending_the_rest_doubles_and_reorders_nothing(stand: Stand) -> None:
    await stand.publish(
        Noted(name="bad", number=1), Noted(name="good", number=2), large(3), Noted(name="bad", number=4)
    )
    with pytest.raises(asyncio.CancelledError):
        await stand.relay(sink=Watched(stand.broker.log("outbox"), dies=True)).run(asyncio.Event())
    assert await stand.parked() == [1]
    async with parts_running(stand.relay()):
        await until(lambda: flowed(stand, NARROW, good=[2]))
    assert await stand.parked() == [1, 3, 4]
    await stand.narrow(_WIDE_BYTES)
    async with parts_running(stand.resender()):
        await until(lambda: flowed(stand, NARROW, good=[2], bad=[1, 3, 4]))


async def test_one_refusal_tells_of_all_events_as_large(stand: Stand) -> None:
    keys = [f"bad-{number}" for number in range(50)]
    await stand.publish(*(large(1, key) for key in keys), Noted(name="good", number=1))
    sink = Watched(stand.broker.log("outbox"))
    async with parts_running(stand.relay(sink)):
        await until(lambda: flowed(stand, NARROW, good=[1]))
    assert {key for _, key in await stand.store.parking.keys()} == set(keys)
    assert sink.refusals == 1
