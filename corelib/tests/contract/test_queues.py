"""What queues promise a consumer, on SQS and in memory alike."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from uuid import uuid4

import pytest
import pytest_asyncio

from contract.taking import opened, take
from corelib.aws.clients import Aws
from corelib.broker import Broker, Delivery, Subscription
from corelib.clock import SystemClock
from corelib.ids import uuid7
from corelib.memory.queues import MemoryQueues
from corelib.message import Channel, Envelope, Record, Transport
from corelib.sqs.broker import Sqs

STANDARD = Channel("mails", Transport.SQS)
FIFO = Channel("ledger.fifo", Transport.SQS)


def record(number: int, key: str = "k", *, channel: Channel = FIFO) -> Record:
    envelope = Envelope(uuid7(), "test.booked.v1", "test", SystemClock().now(), key)
    return envelope.record(channel.name, str(number).encode())


@pytest_asyncio.fixture(params=["sqs", "memory"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    broker: Broker = MemoryQueues()
    if request.param == "sqs":
        aws = Aws(endpoint_url=request.getfixturevalue("aws_endpoint"), prefix=f"t{uuid4().hex[:10]}-")
        broker = Sqs(aws, poll_seconds=1)
    await broker.open()
    await broker.provision([STANDARD, FIFO])
    yield broker
    await broker.close()


def subscribed(broker: Broker, channel: Channel = FIFO) -> AbstractAsyncContextManager[Subscription]:
    return opened(broker.subscribe("test", [channel]))


def numbers(taken: list[Delivery]) -> list[int]:
    return [int(delivery.record.payload) for delivery in taken]


@pytest.mark.parametrize("channel", [STANDARD, FIFO], ids=["standard", "fifo"])
async def test_what_is_not_done_is_given_back_and_what_is_done_is_gone(broker: Broker, channel: Channel) -> None:
    assert all(await broker.send([record(n, f"k-{n}", channel=channel) for n in range(3)]))
    async with subscribed(broker, channel) as subscription:
        first, *others = await take(subscription, 3)
        await subscription.done(first)
    async with subscribed(broker, channel) as subscription:
        again = await take(subscription, 2)
        assert sorted(numbers(again)) == sorted(numbers(others))
        for delivery in again:
            await subscription.done(delivery)
        assert await subscription.lag() == {channel.name: 0}


async def test_of_a_key_in_hand_nobody_else_gets_more(broker: Broker) -> None:
    await broker.send([record(1, "a")])
    async with subscribed(broker) as one:
        (held,) = await take(one, 1)
        one.stop_taking()
        assert [each async for each in one.deliveries()] == []  # its last poll has ended
        async with subscribed(broker) as two:
            await broker.send([record(2, "a"), record(3, "b")])
            assert numbers(await take(two, 1)) == [3]
            await one.done(held)
            assert numbers(await take(two, 1)) == [2]


async def test_a_delivery_in_hand_may_begin_and_one_that_is_done_may_not(broker: Broker) -> None:
    await broker.send([record(1)])
    async with subscribed(broker) as subscription:
        (held,) = await take(subscription, 1)
        assert subscription.begin(held)
        await subscription.done(held)
        assert not subscription.begin(held)


async def test_a_fifo_queue_takes_an_event_once(broker: Broker) -> None:
    once = record(1)
    assert all(await broker.send([once, once, record(2)]))
    async with subscribed(broker) as subscription:
        assert numbers(await take(subscription, 2)) == [1, 2]


async def test_what_a_queue_never_takes_is_refused_and_its_key_stops(broker: Broker) -> None:
    large = record(1, "a")
    large = Record(large.channel, large.key, large.headers, b"x" * 1_200_000)
    sent = await broker.send([large, record(2, "a"), record(3, "b")])
    assert [bool(each) for each in sent] == [False, False, True]
