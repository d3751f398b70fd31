"""A consumer that takes from SQS, with the inbox of a DynamoDB store behind it, against a real endpoint."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest_asyncio

from contract.booked import LEDGER, MAILS, Booked, found, record, waiting
from corelib.actor import Actor, receive
from corelib.aws.clients import Aws
from corelib.clock import SystemClock
from corelib.config import ServiceSettings
from corelib.consumer.consumer import Consumer
from corelib.documents import Table
from corelib.dynamo.store import Dynamo
from corelib.dynamo.transaction import DynamoTransaction
from corelib.message import Channel
from corelib.parking import MALFORMED
from corelib.service import Service
from corelib.sqs.broker import Sqs
from corelib.sqs.queues import Queues
from corelib.testing.running import free_port, running, until
from corelib.transaction import Origin

SEEN = Table("seen", "name")


@dataclass(frozen=True)
class Bookkeeper(Actor):
    store: Dynamo

    @receive
    async def booked(self, event: Booked, tx: DynamoTransaction) -> None:
        page = await self.store.get(SEEN, {"name": event.name}) or {"name": event.name, "numbers": [], "version": 0}
        following = {**page, "numbers": [*page["numbers"], event.number], "version": page["version"] + 1}
        tx.put(SEEN, following, **({"version": page["version"]} if page["version"] else {"new": True}))


@pytest_asyncio.fixture
async def store(aws: Aws) -> AsyncIterator[Dynamo]:
    store = Dynamo("books", aws, tables=(SEEN,))
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset({Booked})))
    yield store
    await store.close()


@asynccontextmanager
async def consuming(sqs: Sqs, store: Dynamo, channel: Channel) -> AsyncIterator[None]:
    stop = asyncio.Event()
    consumer = Consumer(lambda: sqs.subscribe("books", [channel]), list(Bookkeeper(store).routes()), store)
    running = asyncio.create_task(consumer.run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, 30)


async def seen(store: Dynamo, name: str) -> list[int]:
    page = await store.get(SEEN, {"name": name})
    return page["numbers"] if page else []


async def test_a_fifo_queue_feeds_actors_in_order_and_once(sqs: Sqs, aws: Aws, store: Dynamo) -> None:
    records = [record(n, LEDGER, key) for n in range(10) for key in ("a", "b")]
    async with consuming(sqs, store, LEDGER):
        await sqs.send(records)
        await until(lambda: found(_both(store), (list(range(10)), list(range(10)))))
        await until(lambda: found(waiting(aws, LEDGER.name), (0, 0)))


async def _both(store: Dynamo) -> tuple[list[int], list[int]]:
    return await seen(store, "a"), await seen(store, "b")


async def test_a_record_that_arrives_twice_has_its_effect_once(sqs: Sqs, aws: Aws, store: Dynamo) -> None:
    once = [record(n, key=f"k-{n}") for n in range(8)]
    await sqs.send(once * 2)
    async with consuming(sqs, store, MAILS):
        await until(lambda: found(waiting(aws), (0, 0)))
    assert [await seen(store, f"k-{n}") for n in range(8)] == [[n] for n in range(8)]


async def test_a_message_that_is_no_event_is_parked_and_the_rest_flow(sqs: Sqs, aws: Aws, store: Dynamo) -> None:
    queues = Queues(aws)
    url = await queues.url(MAILS.name)
    await queues.call("SendMessage", QueueUrl=url, MessageBody="not an event")
    binary = {"raw": {"DataType": "Binary", "BinaryValue": "AAE="}, "ce_id": {"DataType": "String", "StringValue": "x"}}
    await queues.call("SendMessage", QueueUrl=url, MessageBody="{}", MessageAttributes=binary)
    await sqs.send([record(1)])
    async with consuming(sqs, store, MAILS):
        await until(lambda: found(waiting(aws), (0, 0)))
    assert await seen(store, "k") == [1]
    parked = await store.parking.list(MALFORMED)
    assert sorted(each.record.payload for each in parked) == [b"not an event", b"{}"]


async def test_a_service_takes_from_queues_what_goes_to_no_topic(sqs: Sqs, aws: Aws) -> None:
    store = Dynamo("books", aws, tables=(SEEN,))
    settings = ServiceSettings(provision=True, port=free_port())
    actors = [Bookkeeper(store)]
    service = Service("books", settings, store=store, actors=actors, publishes=[Booked], brokers=[sqs])
    assert [part.name for part in service._consumers()] == ["consumer-sqs"]
    async with running(service):
        for n in range(3):
            async with store.transaction() as tx:
                tx.publish(Booked(name="a", number=n))
        await until(lambda: found(seen(store, "a"), [0, 1, 2]))
