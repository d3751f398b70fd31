"""Taking from SQS, against a real endpoint: by itself, and with a consumer and the inbox of a DynamoDB store behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

import pytest
import pytest_asyncio

from corelib.actor import Actor, receive
from corelib.aws.clients import Aws
from corelib.broker import Delivery
from corelib.clock import SystemClock
from corelib.config import ServiceSettings
from corelib.consumer.consumer import Consumer
from corelib.documents import Table
from corelib.dynamo.store import Dynamo
from corelib.dynamo.transaction import DynamoTransaction
from corelib.errors import Unavailable
from corelib.ids import uuid7
from corelib.message import Channel, Envelope, Event, Record, Transport
from corelib.metrics import AWS_CALLS
from corelib.parking import MALFORMED
from corelib.service import Service
from corelib.sqs.broker import Sqs
from corelib.sqs.queues import BATCH, Queues
from corelib.sqs.subscription import SqsSubscription
from corelib.testing.running import free_port, running, until
from corelib.transaction import Origin
from devstack.cable import Cable

MAILS = Channel("mails", Transport.SQS)
LEDGER = Channel("ledger.fifo", Transport.SQS)
SEEN = Table("seen", "name")


class Booked(Event, type="test.booked.v1", channels=(LEDGER,), key="name"):
    name: str
    number: int


@dataclass(frozen=True)
class Bookkeeper(Actor):
    store: Dynamo

    @receive
    async def booked(self, event: Booked, tx: DynamoTransaction) -> None:
        page = await self.store.get(SEEN, {"name": event.name}) or {"name": event.name, "numbers": [], "version": 0}
        following = {**page, "numbers": [*page["numbers"], event.number], "version": page["version"] + 1}
        tx.put(SEEN, following, **({"version": page["version"]} if page["version"] else {"new": True}))


def record(number: int, channel: Channel = MAILS, key: str = "k") -> Record:
    envelope = Envelope(uuid7(), Booked.type, "test", SystemClock().now(), key)
    return envelope.record(channel.name, Booked(name=key, number=number).model_dump_json().encode())


def number(delivery: Delivery) -> int:
    return Booked.model_validate_json(delivery.record.payload).number


@pytest_asyncio.fixture
async def aws(aws_endpoint: str) -> AsyncIterator[Aws]:
    aws = Aws(endpoint_url=aws_endpoint, prefix=f"t{uuid4().hex[:10]}-")
    await aws.open()
    yield aws
    await aws.close()


@pytest_asyncio.fixture(autouse=True)
async def sqs(aws: Aws) -> AsyncIterator[Sqs]:
    sqs = Sqs(aws, poll_seconds=1)
    await sqs.open()
    await sqs.provision([MAILS, LEDGER])
    yield sqs
    await sqs.close()


@asynccontextmanager
async def subscribed(aws: Aws, *channels: str, **options: Any) -> AsyncIterator[SqsSubscription]:
    subscription = SqsSubscription(Queues(aws), channels or (MAILS.name,), poll_seconds=1, **options)
    await subscription.open()
    try:
        yield subscription
    finally:
        await subscription.close()


async def take(subscription: SqsSubscription, count: int) -> list[Delivery]:
    taken: list[Delivery] = []
    async with asyncio.timeout(20):
        async for delivery in subscription.deliveries():
            taken.append(delivery)
            if len(taken) == count:
                break
    return taken


async def waiting(aws: Aws, queue: str = MAILS.name) -> tuple[int, int]:
    """How many messages of a queue can be received, and how many are in somebody's hand."""
    queues = Queues(aws)
    answer = await queues.call("GetQueueAttributes", QueueUrl=await queues.url(queue), AttributeNames=["All"])
    attributes = answer["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"]), int(attributes["ApproximateNumberOfMessagesNotVisible"])


async def test_what_was_sent_is_received_and_what_is_done_is_deleted(sqs: Sqs, aws: Aws) -> None:
    sent = [record(n, key=f"k-{n}") for n in range(25)]
    assert all(await sqs.send(sent))
    async with subscribed(aws) as subscription:
        taken = await take(subscription, 25)
        by_number = sorted(taken, key=number)
        assert [each.record.key for each in by_number] == [each.key for each in sent]
        assert [set(each.record.headers) for each in by_number] == [set(each.headers) for each in sent]
        for delivery in taken:
            await subscription.done(delivery)
        await until(lambda: _is(waiting(aws), (0, 0)))


async def _is(found: Awaitable[object], expected: object) -> bool:
    return await found == expected


async def test_what_is_not_done_is_given_back_at_the_end(sqs: Sqs, aws: Aws) -> None:
    await sqs.send([record(n) for n in range(3)])
    async with subscribed(aws) as subscription:
        first, *_ = await take(subscription, 3)
        await subscription.done(first)
    assert await waiting(aws) == (2, 0)


async def test_what_is_given_back_at_stop_after_stop_is_no_dead_letter(sqs: Sqs, aws: Aws) -> None:
    await sqs.send([record(1)])
    for _ in range(6):
        async with subscribed(aws) as subscription:
            await take(subscription, 1)
    assert await waiting(aws) == (1, 0)


async def test_what_waits_to_be_taken_is_little_and_nobody_elses(sqs: Sqs, aws: Aws) -> None:
    await sqs.send([record(n, key=f"k-{n}") for n in range(40)])
    extended = AWS_CALLS.labels("sqs", "ChangeMessageVisibilityBatch")
    async with subscribed(aws, visible_seconds=1, extend_seconds=0.25) as subscription:
        await until(lambda: len(subscription._in_hand) > BATCH)
        before = extended._value.get()
        await until(lambda: extended._value.get() >= before + 12)  # 1.5 s, as there are two batches
        held = len(subscription._in_hand)
        assert held <= 2 * BATCH
        assert await waiting(aws) == (40 - held, held)
        assert len(await take(subscription, 40)) == 40
    assert await waiting(aws) == (40, 0)


async def test_a_stop_gives_back_at_once_what_nobody_has_taken(sqs: Sqs, aws: Aws) -> None:
    await sqs.send([record(n, key=f"k-{n}") for n in range(40)])
    async with subscribed(aws) as subscription:
        await until(lambda: len(subscription._in_hand) > BATCH)
    assert await waiting(aws) == (40, 0)


async def test_what_is_in_hand_longer_than_its_time_is_nobody_elses(sqs: Sqs, aws: Aws) -> None:
    await sqs.send([record(1)])
    extended = AWS_CALLS.labels("sqs", "ChangeMessageVisibilityBatch")
    async with subscribed(aws, visible_seconds=1, extend_seconds=0.25) as subscription:
        (delivery,) = await take(subscription, 1)
        before = extended._value.get()
        await until(lambda: _reached(lambda: extended._value.get() >= before + 6))  # 1.5 s
        assert await waiting(aws) == (0, 1)
        await subscription.done(delivery)
    assert await waiting(aws) == (0, 0)


async def _reached(condition: Callable[[], bool]) -> bool:
    return condition()


@pytest.mark.parametrize(("fault", "ours"), [(False, [True] * 4), (True, [False, False, False, True])])
async def test_what_could_not_be_kept_is_given_up_with_its_group_only_if_it_is_anothers(
    sqs: Sqs, aws: Aws, monkeypatch: pytest.MonkeyPatch, *, fault: bool, ours: list[bool]
) -> None:
    """SQS itself may fail to extend one message of a batch for a moment: then it is still in hand."""
    rounds: list[list[str]] = []
    through = Queues.call

    async def call(self: Queues, operation: str, **request: Any) -> dict[str, Any]:
        answer = await through(self, operation, **request)
        if operation == "ChangeMessageVisibilityBatch":
            failing = [each["Id"] for each in request["Entries"] if each["ReceiptHandle"] == receipt]
            answer = {"Failed": [{"Id": each, "Code": "Trouble", "SenderFault": fault} for each in failing]}
            rounds.append(failing)
        return answer

    assert all(await sqs.send([record(n, LEDGER, key) for n, key in enumerate(["a", "a", "a", "b"])]))
    async with subscribed(aws, LEDGER.name, extend_seconds=0.05) as subscription:
        taken = sorted(await take(subscription, 4), key=number)
        receipt = cast("Any", taken[1].position).receipt

        async def tried_twice() -> bool:
            return len(rounds) >= 2 and any(rounds)

        with monkeypatch.context() as trouble:
            trouble.setattr(Queues, "call", call)
            await until(tried_twice)
            assert [subscription.begin(each) for each in taken] == ours


async def test_stopping_yields_what_was_received_and_ends(sqs: Sqs, aws: Aws) -> None:
    await sqs.send([record(n) for n in range(10)])
    async with subscribed(aws) as subscription:
        taken: list[Delivery] = []
        async for delivery in subscription.deliveries():
            subscription.stop_taking()
            taken.append(delivery)
        assert len(taken) == 10
        for delivery in taken:
            await subscription.done(delivery)
    assert await waiting(aws) == (0, 0)


async def test_lag_counts_what_waits(sqs: Sqs, aws: Aws) -> None:
    async with subscribed(aws, LEDGER.name) as subscription:
        assert await subscription.lag() == {LEDGER.name: 0}
        (_,) = [await sqs.send([record(1, LEDGER)])] and await take(subscription, 1)
        await sqs.send([record(2, LEDGER)])
        assert await subscription.lag() == {LEDGER.name: 1}


async def test_two_replicas_keep_the_order_of_a_key_on_a_fifo_queue(sqs: Sqs, aws: Aws) -> None:
    keys, count = ("a", "b", "c"), 12
    await sqs.send([record(n, LEDGER, key) for n in range(count) for key in keys])
    seen: dict[str, list[int]] = {key: [] for key in keys}

    async def replica() -> None:
        async with subscribed(aws, LEDGER.name) as subscription:
            async for delivery in subscription.deliveries():
                await asyncio.sleep(0)  # let the other one overtake if it can
                seen[delivery.record.key].append(number(delivery))
                await subscription.done(delivery)
                if sum(map(len, seen.values())) == count * len(keys):
                    everything.set()

    everything = asyncio.Event()
    replicas = [asyncio.create_task(replica()) for _ in range(2)]
    async with asyncio.timeout(60):
        await everything.wait()
    for task in replicas:
        task.cancel()
    await asyncio.gather(*replicas, return_exceptions=True)
    assert seen == {key: list(range(count)) for key in keys}


async def test_a_cut_connection_delays_deletion_but_loses_nothing(sqs: Sqs, aws: Aws) -> None:
    await sqs.send([record(n) for n in range(12)])
    async with Cable(str(aws.endpoint_url)) as cable:
        through = Aws(endpoint_url=cable.address, prefix=aws.prefix)
        subscription = SqsSubscription(Queues(through), [MAILS.name], poll_seconds=1)
        await subscription.open()
        taken = await take(subscription, 12)
        await cable.pull()
        for delivery in taken:
            await subscription.done(delivery)
        deleting = AWS_CALLS.labels("sqs", "DeleteMessageBatch")
        before = deleting._value.get()
        await until(lambda: _reached(lambda: deleting._value.get() > before + 6))
        assert await waiting(aws) == (0, 12)
        await cable.plug()
        await until(lambda: _is(waiting(aws), (0, 0)))
        await subscription.close()


async def test_a_broken_connection_is_told_to_the_consumer(aws: Aws) -> None:
    async with Cable(str(aws.endpoint_url)) as cable:
        through = Aws(endpoint_url=cable.address, prefix=aws.prefix)
        subscription = SqsSubscription(Queues(through), [MAILS.name], poll_seconds=1)
        await subscription.open()
        await cable.pull()
        with pytest.raises(Unavailable):
            await take(subscription, 1)
        await subscription.close()


async def test_a_missing_queue_is_unavailable(aws: Aws) -> None:
    with pytest.raises(Unavailable, match="does not exist"):
        await SqsSubscription(Queues(aws), ["nowhere"]).open()


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
        await until(lambda: _is(_both(store), (list(range(10)), list(range(10)))))
        await until(lambda: _is(waiting(aws, LEDGER.name), (0, 0)))


async def _both(store: Dynamo) -> tuple[list[int], list[int]]:
    return await seen(store, "a"), await seen(store, "b")


async def test_a_record_that_arrives_twice_has_its_effect_once(sqs: Sqs, aws: Aws, store: Dynamo) -> None:
    once = [record(n, key=f"k-{n}") for n in range(8)]
    await sqs.send(once * 2)
    async with consuming(sqs, store, MAILS):
        await until(lambda: _is(waiting(aws), (0, 0)))
    assert [await seen(store, f"k-{n}") for n in range(8)] == [[n] for n in range(8)]


async def test_a_message_that_is_no_event_is_parked_and_the_rest_flow(sqs: Sqs, aws: Aws, store: Dynamo) -> None:
    queues = Queues(aws)
    url = await queues.url(MAILS.name)
    await queues.call("SendMessage", QueueUrl=url, MessageBody="not an event")
    binary = {"raw": {"DataType": "Binary", "BinaryValue": "AAE="}, "ce_id": {"DataType": "String", "StringValue": "x"}}
    await queues.call("SendMessage", QueueUrl=url, MessageBody="{}", MessageAttributes=binary)
    await sqs.send([record(1)])
    async with consuming(sqs, store, MAILS):
        await until(lambda: _is(waiting(aws), (0, 0)))
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
        await until(lambda: _is(seen(store, "a"), [0, 1, 2]))
