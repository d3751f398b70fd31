"""How much of a queue a consumer has in hand: a few for each of its workers, the rest is there for other replicas."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest_asyncio

from corelib.actor import Actor, receive
from corelib.broker import Subscription
from corelib.clock import SystemClock
from corelib.consumer.consumer import Consumer
from corelib.ids import uuid7
from corelib.memory.link import Direct
from corelib.memory.queue_subscription import MemoryQueueSubscription
from corelib.memory.queues import MemoryQueues
from corelib.memory.store import Memory
from corelib.message import Channel, Envelope, Event, Transport
from corelib.testing.running import parts_running, until
from corelib.transaction import Origin, Transaction

LETTERS = Channel("letters", Transport.SQS)
SENT = 60
WORKERS = 2
# Eight for each worker, one that waits for room, and what was received with it.
HELD = 20


class Written(Event, type="test.written.v1", channels=(LETTERS,), key="name"):
    name: str


@dataclass(frozen=True)
class Reader(Actor):
    """Begins each letter at once, and reads it when told to."""

    may_read: asyncio.Event = field(default_factory=asyncio.Event)
    begun: list[str] = field(default_factory=list)

    @receive
    async def written(self, event: Written, tx: Transaction) -> None:  # noqa: ARG002 -- a handler has one
        self.begun.append(event.name)
        await self.may_read.wait()


@pytest_asyncio.fixture
async def queues() -> AsyncIterator[MemoryQueues]:
    queues = MemoryQueues()
    for number in range(SENT):
        event = Written(name=f"k-{number}")
        envelope = Envelope(uuid7(), Written.type, "test", SystemClock().now(), event.name)
        assert await queues.send([envelope.record(LETTERS.name, event.model_dump_json().encode())])
    yield queues
    await queues.close()


async def consumer(subscription: Subscription, reader: Reader) -> Consumer:
    store = Memory()
    await store.open(Origin("test", SystemClock(), frozenset({Written})))
    return Consumer(lambda: subscription, list(reader.routes()), store, concurrency=WORKERS)


async def test_a_consumer_holds_a_few_for_each_worker_and_in_the_end_reads_all(queues: MemoryQueues) -> None:
    reader = Reader()
    async with parts_running(await consumer(queues.subscribe("test", [LETTERS]), reader)):
        await until(lambda: queues.server.waiting(LETTERS.name) == SENT - HELD)
        await until(lambda: len(reader.begun) == WORKERS)
        reader.may_read.set()
        await until(lambda: not queues.past())
    assert sorted(reader.begun) == sorted(f"k-{number}" for number in range(SENT))


async def test_a_consumer_that_stops_gives_back_what_it_has_not_begun(queues: MemoryQueues) -> None:
    reader = Reader()
    subscription = MemoryQueueSubscription(queues.server, Direct(), [LETTERS.name])
    stop = asyncio.Event()
    running = asyncio.create_task((await consumer(subscription, reader)).run(stop))
    await until(lambda: queues.server.waiting(LETTERS.name) == SENT - HELD)
    await until(lambda: len(reader.begun) == WORKERS)
    stop.set()
    async with asyncio.timeout(30):
        await subscription._closing.wait()
        reader.may_read.set()
        await running
    assert len(reader.begun) == WORKERS
    assert queues.server.waiting(LETTERS.name) == len(queues.past()) == SENT - WORKERS
