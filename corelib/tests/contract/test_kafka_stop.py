"""Whoever works with Kafka stops in time when it is away: refused, or silent as behind a network that drops packets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import pytest_asyncio

from corelib.broker import Delivery, Outgoing
from corelib.clock import SystemClock
from corelib.errors import Unavailable
from corelib.headers import SMALL
from corelib.ids import uuid7
from corelib.kafka.broker import Kafka
from corelib.memory.store import Memory
from corelib.message import Channel, Envelope, Event, Record
from corelib.relay.log_relay import LogRelay
from corelib.relay.parking import Resender
from corelib.store import Failure
from corelib.testing.running import until
from corelib.transaction import Origin
from devstack.cable import Cable
from devstack.parts import kafka_server
from devstack.settings import free_ports

NOTES = Channel("notes", partitions=1)
_LONGEST = 14.0  # a commit and a stop, with a slow machine's time to spare; never the 30 s and more of the clients


class Noted(Event, type="test.noted.v1", channels=(NOTES,), key="name"):
    name: str


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """A port of a broker, and the one that its clients are told to come back to."""
    inside, outside = free_ports(2)
    with kafka_server(tmp_path_factory.mktemp("kafka"), doors={inside: outside}):
        yield inside, outside


@pytest_asyncio.fixture
async def cable(doors: tuple[int, int]) -> AsyncIterator[Cable]:
    async with Cable(f"tcp://127.0.0.1:{doors[0]}", port=doors[1]) as cable:
        yield cable


@pytest_asyncio.fixture
async def kafka(cable: Cable) -> Kafka:
    kafka = Kafka(urlsplit(cable.address).netloc, prefix=f"t{uuid4().hex[:8]}-")
    await kafka.provision([NOTES])
    return kafka


@pytest.fixture(params=["refused", "silent"])
def silent(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "silent")


async def take_away(cable: Cable, *, silent: bool) -> None:
    if silent:
        cable.stall()
    else:
        await cable.pull()


@asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """The block ends in time, and no task is left of what was begun before it."""
    async with asyncio.timeout(_LONGEST):
        yield
    with contextlib.suppress(TimeoutError):
        await until(lambda: not tasks(), seconds=5)
    assert not tasks()


def tasks() -> set[asyncio.Task[object]]:
    """Every task but the test's own and the cable's."""
    names = [(task, getattr(task.get_coro(), "__qualname__", "")) for task in asyncio.all_tasks()]
    return {
        task for task, name in names if task is not asyncio.current_task() and "Cable" not in name and name != "_main"
    }


def record(number: int) -> Record:
    return Envelope(uuid7(), "test.noted.v1", "test", SystemClock().now(), f"k{number}").record("notes", b"{}")


async def test_a_consumer_with_offsets_to_commit(cable: Cable, kafka: Kafka, silent: bool) -> None:  # noqa: FBT001 -- a fixture
    await kafka.open()
    assert all(await kafka.send([record(number) for number in range(50)]))
    await kafka.close()
    subscription = kafka.subscribe("notes", [NOTES])
    await subscription.open()
    deliveries: list[Delivery] = []
    async for delivery in subscription.deliveries():
        deliveries.append(delivery)
        if len(deliveries) == 50:
            break
    await take_away(cable, silent=silent)
    for delivery in deliveries:
        await subscription.done(delivery)
    async with in_time():
        await subscription.close()


async def test_a_consumer_that_is_told_to_stop_at_once(cable: Cable, kafka: Kafka, silent: bool) -> None:  # noqa: FBT001 -- a fixture
    subscription = kafka.subscribe("notes", [NOTES])
    await subscription.open()
    await take_away(cable, silent=silent)
    async with in_time():
        closing = asyncio.create_task(subscription.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])


async def test_a_producer_with_records_under_way(cable: Cable, kafka: Kafka, silent: bool) -> None:  # noqa: FBT001 -- a fixture
    await kafka.open()
    assert await kafka.send([record(0)]) == [True]
    await take_away(cable, silent=silent)
    sending = asyncio.create_task(kafka.send([record(1)]))
    accumulator = kafka._connected()._message_accumulator
    await until(lambda: bool(accumulator._batches or accumulator._pending_batches))
    async with in_time():
        await kafka.close()
        with pytest.raises(Unavailable):
            await sending


async def test_an_outbox_with_a_transaction_under_way(cable: Cable, kafka: Kafka, silent: bool) -> None:  # noqa: FBT001 -- a fixture
    log = kafka.log("notes-outbox")
    await log.begin()
    row = Outgoing("notes", "k", 1, SMALL[0], b"{}")
    await log.send([row], b"1")
    await log.commit()
    await take_away(cable, silent=silent)
    sending = asyncio.create_task(log.send([row], b"2"))
    await until(lambda: log._uncommitted)
    sending.cancel()
    async with in_time():
        await asyncio.wait([sending])
        await log.close()


async def test_an_outbox_that_is_told_to_stop_while_it_begins(cable: Cable, kafka: Kafka, silent: bool) -> None:  # noqa: FBT001 -- a fixture
    log = kafka.log("notes-outbox")
    await log.begin()
    await take_away(cable, silent=silent)
    beginning = asyncio.create_task(log.begin())
    await until(lambda: log._producer is None)
    async with in_time():
        beginning.cancel()
        await asyncio.wait([beginning])
        await log.close()


async def test_a_relay_with_an_event_in_hand(cable: Cable, kafka: Kafka, silent: bool) -> None:  # noqa: FBT001 -- a fixture
    stop, store, log = asyncio.Event(), Memory(), kafka.log("notes-outbox")
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset({Noted})))
    source = store.log("kafka", frozenset({NOTES.name}))
    relaying = asyncio.create_task(LogRelay(source, log, store.committed(), store.parking).run(stop))
    await until(lambda: log._producer is not None)
    await take_away(cable, silent=silent)
    async with store.transaction() as tx:
        tx.publish(Noted(name="k"))
    await until(lambda: log._uncommitted)
    async with in_time():
        stop.set()
        await relaying


async def test_a_resender_with_an_event_in_hand(cable: Cable, kafka: Kafka, silent: bool) -> None:  # noqa: FBT001 -- a fixture
    store = Memory()
    await store.provision()
    await store.parking.park("relay-kafka/notes", record(0), Failure("too large"), attempts=1)
    await kafka.open()
    assert await kafka.send([record(1)]) == [True]
    await take_away(cable, silent=silent)
    stop = asyncio.Event()
    sending = asyncio.create_task(Resender("kafka", store.parking, kafka, every_seconds=0).run(stop))
    accumulator = kafka._connected()._message_accumulator
    await until(lambda: bool(accumulator._batches or accumulator._pending_batches))
    async with in_time():
        stop.set()
        await sending
        await kafka.close()
