"""Events to be sent again, and somebody who takes them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition

from corelib.clock import ManualClock, SystemClock
from corelib.errors import Unavailable
from corelib.history import Selection
from corelib.kafka.broker import Kafka
from corelib.kafka.subscription import record_of
from corelib.message import Channel, Envelope, Event, Record, Transport
from corelib.operation import Operation
from corelib.replay import KIND, Plan, Replay, Source, Tally, replay_of
from corelib.service import Service
from corelib.store import Store
from corelib.transaction import Origin

LEFT = Channel(f"left-{uuid4().hex[:8]}", partitions=2)
RIGHT = Channel(f"right-{uuid4().hex[:8]}", partitions=2)
LAB = Channel("lab", partitions=1)
QUEUE = Channel("queue", Transport.SQS)
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Went(Event, type="test.went.v1", channels=(LEFT,), key="who"):
    who: str
    number: int


class Came(Event, type="test.came.v1", channels=(RIGHT,), key="who"):
    who: str
    number: int


class Mailed(Event, type="test.mailed.v1", channels=(QUEUE,), key="who"):
    who: str


ORIGIN = Origin("test", SystemClock(), frozenset({Went, Came}))


class Collector:
    """A publisher that keeps what it is given, and refuses what `refuses` says."""

    name = "collector"

    def __init__(self, refuses: Callable[[int], bool] = lambda _: False) -> None:
        self.records: list[Record] = []
        self.refuses = refuses
        self.calls = 0

    async def missing(self, channels: Sequence[Channel]) -> Sequence[str]:
        return [channel.name for channel in channels if channel.name == "nowhere"]

    async def send(self, records: Sequence[Record]) -> Sequence[bool]:
        self.calls += 1
        if self.refuses(self.calls):
            raise Unavailable(self.name, "as told")
        self.records += records
        return [True] * len(records)


async def publish(store: Store, *events: Event, traceparent: str | None = None) -> None:
    async with store.transaction(traceparent=traceparent) as tx:
        for event in events:
            tx.publish(event)


async def deliver(store: Store) -> None:
    """Be the relay: everything is sent and acknowledged."""
    reader = store.outbox("kafka", frozenset({LEFT.name, RIGHT.name}))
    assert await reader.acquire("test")
    while pending := await reader.read(1_000):
        await reader.acknowledge(pending)
    await reader.release()


def plan(**chosen: object) -> Plan:
    selection = Selection.model_validate({"channels": {LEFT.name, RIGHT.name}} | chosen)
    return Plan(source=Source.OUTBOX, transport="kafka", selection=selection, rate=0)


def replay(
    store: Store, what: Plan, to: Any, clock: SystemClock | ManualClock | None = None, *, elsewhere: bool = False
) -> Replay:
    return Replay(what, store.history("kafka"), to, store.operations, clock or SystemClock(), elsewhere=elsewhere)


def operation(what: Plan) -> Operation:
    return Operation(KIND, "ann", "a test", what.model_dump(mode="json"), datetime.now(UTC))


def numbers(records: Sequence[Record], key: str) -> list[int]:
    return [
        (Went if record.channel == LEFT.name else Came).model_validate_json(record.payload).number
        for record in records
        if record.key == key
    ]


async def replayed(service: Service, what: Plan) -> tuple[Tally, Operation]:
    work = replay_of(service, what)
    return await work.count(), await work.run(operation(what))


def replace_source(what: Plan, source: Source) -> Plan:
    return what.model_copy(update={"source": source})


def went(number: int, key: str = "k", traceparent: str | None = None) -> Record:
    """Return an event as it stands in its topic."""
    envelope = Envelope(uuid4(), "test.went.v1", "test", datetime.now(UTC), key, traceparent)
    return envelope.record(LEFT.name, Went(who=key, number=number).model_dump_json().encode())


async def everything(kafka: Kafka, channel: Channel) -> list[Record]:
    """Return all that a topic holds, per key in order."""
    topic = kafka.topic(channel.name)
    partitions = [TopicPartition(topic, number) for number in range(channel.partitions)]
    records: list[Record] = []
    async with AIOKafkaConsumer(
        **kafka.cluster.options, auto_offset_reset="earliest", isolation_level="read_committed"
    ) as consumer:
        consumer.assign(partitions)
        for partition, end in (await consumer.end_offsets(partitions)).items():
            while await consumer.position(partition) < end:
                messages = (await consumer.getmany(partition, timeout_ms=1_000)).get(partition, [])
                records += [record_of(message, channel.name) for message in messages]
    return records
