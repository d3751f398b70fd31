"""What a relay has parked is sent again: by one at a time, in order, whoever tries."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest

from corelib.aws.clients import Aws
from corelib.broker import Refused
from corelib.clock import ManualClock
from corelib.consumer.consumer import Consumer
from corelib.consumer.resume import resume
from corelib.dynamo.store import Dynamo
from corelib.errors import Unavailable
from corelib.memory.broker import MemoryBroker
from corelib.memory.database import Database
from corelib.memory.store import Memory
from corelib.message import Record
from corelib.parking import Resumed
from corelib.relay.parking import Resender, resend
from corelib.store import CLAIM, Failure, Store
from corelib.testing.running import parts_running, until
from corelib.transaction import REMEMBER, Origin
from parking.counted import BROKEN, CHANNEL, Counted, Counter, Open, numbers, parked, queued, record


class Topic(MemoryBroker):
    """A broker that notes what it was sent, and takes its time."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance
        self.sent: list[int] = []

    async def send(self, records: Sequence[Record]) -> Sequence[bool | Refused]:
        await asyncio.sleep(self.chance.random() * 0.004)
        self.sent += numbers(list(records))
        return await super().send(records)


RELAYED = f"relay-kafka/{CHANNEL.name}"


async def test_one_at_a_time_has_a_claim_on_a_key(replica: Open) -> None:
    one, other = await replica(), await replica()
    async with one.parking.claimed(RELAYED, "k") as mine:
        assert mine
        async with other.parking.claimed(RELAYED, "k") as too, other.parking.claimed(RELAYED, "another") as free:
            assert (too, free) == (False, True)
        async with one.parking.claimed(RELAYED, "k") as again:
            assert not again
    async with other.parking.claimed(RELAYED, "k") as mine:
        assert mine


async def test_several_records_wait_in_order_or_none_does(store: Store) -> None:
    assert await store.parking.append(RELAYED, record(1), record(2)) == 0
    await parked(store, first := record(0), handler=RELAYED)
    assert await store.parking.append(RELAYED, first, second := record(1), record(2)) == 3
    assert await store.parking.append(RELAYED, second, record(3)) == 2
    assert await queued(store, handler=RELAYED) == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(3))
async def test_a_key_that_a_relay_parked_is_sent_once_and_in_order_whoever_sends_it(replica: Open, seed: int) -> None:
    relaying, commanding, beside = await replica(), await replica(), await replica()
    topic = Topic(random.Random(seed))  # noqa: S311 -- a schedule, not cryptography

    async def relay() -> None:
        """Do what a relay does with records of a key that it believes parked."""
        for number in range(3, 30):
            if not await relaying.parking.append(RELAYED, record(number)):
                await topic.send([record(number)])
            await asyncio.sleep(topic.chance.random() * 0.004)

    await parked(relaying, *map(record, range(3)), handler=RELAYED)
    async with parts_running(Resender("kafka", beside.parking, topic, every_seconds=0.005)):
        await asyncio.gather(relay(), *(resend(commanding.parking, topic, RELAYED, "k") for _ in range(3)))
        await resend(commanding.parking, topic, RELAYED, "k")
    assert topic.sent == list(range(30))


async def test_a_resender_leaves_alone_what_others_parked(store: Store) -> None:
    topic = Topic(random.Random(0))  # noqa: S311 -- a schedule, not cryptography
    await parked(store, record(0))
    await parked(store, record(1), handler=f"relay-sqs/{CHANNEL.name}")
    await parked(store, record(2), handler=RELAYED)
    async with parts_running(Resender("kafka", store.parking, topic, every_seconds=0.005)):
        await until(lambda: bool(topic.sent))
    assert topic.sent == [2]
    assert {handler for handler, _ in await store.parking.keys()} == {"Counter.counted", f"relay-sqs/{CHANNEL.name}"}


async def test_what_a_relay_sends_when_inboxes_have_forgotten_it_is_parked_by_its_consumers(store: Store) -> None:
    broker, counter = MemoryBroker(), Counter()
    await broker.provision([CHANNEL])
    await parked(store, record(0, age=REMEMBER + timedelta(hours=1)), record(1), handler=RELAYED)
    assert await resend(store.parking, broker, RELAYED, "k") == Resumed(2)
    routes = list(counter.routes())
    async with parts_running(Consumer(lambda: broker.subscribe("test", [CHANNEL]), routes, store)):
        await until(lambda: waiting(store, 2))
    first, second = await store.parking.list()
    assert (first.handler, first.reason[:11], first.attempts) == (routes[0].name, "Forgotten: ", 1)
    assert second.attempts == 0
    await store.parking.remove((await store.parking.list(routes[0].name, "k"))[0])
    assert await resume(store, routes, routes[0].name, "k") == Resumed(1)
    assert counter.seen == [1]


async def waiting(store: Store, count: int) -> bool:
    return len(await store.parking.list()) == count


class Narrow(MemoryBroker):
    """A topic that takes no large batch, and one number never."""

    def __init__(self, *, most: int, never: int) -> None:
        super().__init__()
        self.most, self.never = most, never
        self.sent: list[list[int]] = []

    async def send(self, records: Sequence[Record]) -> Sequence[bool | Refused]:
        asked = numbers(list(records))
        if len(asked) > self.most:
            raise Unavailable("kafka", "too large together")
        taken = asked[: asked.index(self.never)] if self.never in asked else asked
        self.sent.append(taken)
        left: list[bool | Refused] = [False] * (len(asked) - len(taken))
        left[:1] = [Refused("too large")] * bool(left)
        return [True] * len(taken) + left


async def test_a_queue_is_sent_together(store: Store) -> None:
    topic = Narrow(most=50, never=99)
    await parked(store, *map(record, range(60)), handler=RELAYED)
    assert await resend(store.parking, topic, RELAYED, "k") == Resumed(60)
    assert topic.sent == [list(range(50)), list(range(50, 60))]
    assert await store.parking.keys() == frozenset()


async def test_what_is_too_large_together_is_sent_alone_until_one_is_too_large_itself(store: Store) -> None:
    topic = Narrow(most=3, never=3)
    await parked(store, *map(record, range(6)), handler=RELAYED)
    resumed = await resend(store.parking, topic, RELAYED, "k")
    assert (resumed.handled, resumed.failure) == (3, Failure("too large"))
    assert [number for sent in topic.sent for number in sent] == [0, 1, 2]
    first, *behind = await store.parking.list(RELAYED, "k")
    assert (first.attempts, first.reason) == (4, BROKEN.reason)
    assert [each.attempts for each in behind] == [3, 3]


async def test_an_outage_of_the_broker_is_no_attempt(store: Store) -> None:
    class Away(MemoryBroker):
        async def send(self, records: Sequence[Record]) -> Sequence[bool | Refused]:
            raise Unavailable("kafka", f"could not send {len(records)}")

    await parked(store, record(0), handler=RELAYED)
    resumed = await resend(store.parking, Away(), RELAYED, "k")
    assert resumed.failure
    assert "could not send 1" in resumed.failure.reason
    [left] = await store.parking.list()
    assert (left.attempts, left.reason) == (3, BROKEN.reason)


@pytest.mark.parametrize("kind", ["dynamodb", "memory"])
async def test_a_claim_whose_holder_died_ends_after_a_minute(kind: str, request: pytest.FixtureRequest) -> None:
    clock = ManualClock()
    store: Store = Memory(database=Database(clock=clock))
    if kind == "dynamodb":
        aws = Aws(endpoint_url=request.getfixturevalue("aws_endpoint"), prefix=f"t{uuid4().hex[:10]}-")
        store = Dynamo("shop", aws)
    await store.provision()
    await store.open(Origin("test", clock, frozenset({Counted})))
    dead = store.parking.claimed(RELAYED, "k")
    assert await dead.__aenter__()
    clock.advance(CLAIM - timedelta(seconds=1))
    async with store.parking.claimed(RELAYED, "k") as mine:
        assert not mine
    clock.advance(timedelta(seconds=2))
    async with store.parking.claimed(RELAYED, "k") as mine:
        assert mine
        await dead.__aexit__(None, None, None)
        async with store.parking.claimed(RELAYED, "k") as too:
            assert not too, "who was thought dead ended the claim of another"
    await store.close()
