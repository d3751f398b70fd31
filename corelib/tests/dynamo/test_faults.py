"""The DynamoDB outbox to SQS, when answers are lost, calls throttled, batches half done, relays dead or thought so."""

import asyncio
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from botocore.exceptions import ClientError

from corelib.aws.clients import Aws
from corelib.clock import SystemClock
from corelib.dynamo.store import Dynamo
from corelib.errors import Unavailable
from corelib.message import Channel, Envelope, Event, Transport
from corelib.relay.parking import Resender
from corelib.relay.relay import Relay
from corelib.sqs.broker import Sqs
from corelib.sqs.queues import Queues, is_fifo
from corelib.sqs.subscription import SqsSubscription
from corelib.store import Failure
from corelib.testing.running import parts_running, until
from corelib.transaction import Mark, Origin
from devstack.faults import Fault, FaultyAws, Pass, held, lost_answer, refusal

MAILS = Channel("mails", Transport.SQS)
LEDGER = Channel("ledger.fifo", Transport.SQS)
CHANNELS = frozenset({MAILS.name})


class Mailed(Event, type="test.mailed.v1", channels=(MAILS,), key="name"):
    name: str
    number: int


class Booked(Event, type="test.booked.v1", channels=(LEDGER,), key="name"):
    name: str
    number: int
    words: str = ""


@pytest.fixture
def prefix() -> str:
    return f"t{uuid4().hex[:10]}-"


@pytest_asyncio.fixture
async def faulty(aws_endpoint: str) -> AsyncIterator[FaultyAws]:
    async with FaultyAws(aws_endpoint) as faulty:
        yield faulty


@asynccontextmanager
async def opened(endpoint: str, prefix: str) -> AsyncIterator[tuple[Dynamo, Sqs]]:
    aws = Aws(endpoint_url=endpoint, prefix=prefix)
    store, sqs = Dynamo("shop", aws), Sqs(aws)
    await store.provision()
    await sqs.provision([MAILS, LEDGER])
    await store.open(Origin("shop", SystemClock(), frozenset({Mailed, Booked})))
    await sqs.open()
    try:
        yield store, sqs
    finally:
        await sqs.close()
        await store.close()


@pytest_asyncio.fixture
async def through(faulty: FaultyAws, prefix: str) -> AsyncIterator[tuple[Dynamo, Sqs]]:
    """A store and a broker behind the faults."""
    async with opened(faulty.address, prefix) as both:
        yield both


async def publish(store: Dynamo, *numbers: int, keys: Sequence[str] = ("k",)) -> None:
    for number in numbers:
        async with store.transaction() as tx:
            for key in keys:
                tx.publish(Mailed(name=key, number=number))


def relay(store: Dynamo, sqs: Sqs) -> Relay:
    return Relay("sqs", store.outbox("sqs", CHANNELS), sqs, store.committed(), store.parking)


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(relay.run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def drained(store: Dynamo) -> bool:
    return await store.outbox("looking", CHANNELS).lag_seconds() == 0.0


async def arrived(endpoint: str, prefix: str, channel: Channel = MAILS) -> dict[str, list[int]]:
    """What the queue holds, by key; each event once, where it came first. A standard queue promises no order."""
    aws = Aws(endpoint_url=endpoint, prefix=prefix)
    subscription = SqsSubscription(Queues(aws), [channel.name], poll_seconds=1)
    await subscription.open()
    queues = Queues(aws)
    url, names = (
        await queues.url(channel.name),
        ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )
    counts = (await queues.call("GetQueueAttributes", QueueUrl=url, AttributeNames=names))["Attributes"]
    left = sum(map(int, counts.values()))
    found: dict[str, dict[str, int]] = defaultdict(dict)
    async for delivery in subscription.deliveries():
        event = Mailed.model_validate_json(delivery.record.payload)
        found[event.name].setdefault(str(Envelope.of(delivery.record).id), event.number)
        await subscription.done(delivery)
        left -= 1
        if not left:
            break
    await subscription.close()
    kept = list if is_fifo(channel.name) else sorted
    return {key: kept(numbers.values()) for key, numbers in found.items()}


async def test_a_throttled_commit_is_tried_again_under_the_same_token(
    faulty: FaultyAws, through: tuple[Dynamo, Sqs]
) -> None:
    store, _ = through
    code = "ProvisionedThroughputExceededException"
    faulty.faults["TransactWriteItems"] = [refusal(code), lost_answer]
    async with store.transaction(mark=Mark("h", "1")) as tx:
        tx.publish(Mailed(name="k", number=1))
    tokens = {orjson.loads(body)["ClientRequestToken"] for body in faulty.calls["TransactWriteItems"]}
    assert len(faulty.calls["TransactWriteItems"]) == 3
    assert len(tokens) == 1
    outbox = store.outbox("sqs", CHANNELS)
    await outbox.acquire("me")
    assert len(await outbox.read(10)) == 1


async def test_a_commit_that_stays_throttled_is_unavailable_and_commits_nothing(
    faulty: FaultyAws, through: tuple[Dynamo, Sqs]
) -> None:
    store, _ = through
    faulty.faults["TransactWriteItems"] = [refusal("ThrottlingException")] * 3
    with pytest.raises(Unavailable):
        await publish(store, 1)
    assert await drained(store)


def cancelled(code: str) -> Fault:
    """Do nothing, and answer that one operation of the transaction is to blame."""

    async def cancel(body: bytes, forward: Pass) -> web.Response:  # noqa: ARG001 -- as a refusal
        reasons = [{"Code": "None"}, {"Code": code, "Message": "said by DynamoDB"}]
        answer = {
            "__type": "TransactionCanceledException",
            "message": f"[None, {code}]",
            "CancellationReasons": reasons,
        }
        return web.json_response(answer, status=400)

    return cancel


async def test_what_dynamodb_will_never_park_is_told_and_not_tried_for_ever(
    faulty: FaultyAws, through: tuple[Dynamo, Sqs]
) -> None:
    """A consumer tries again after every lost race: it would hold its key, and later its partition, without a word."""
    store, _ = through
    record = Envelope(uuid4(), Mailed.type, "test", SystemClock().now(), "k").record(MAILS.name, b"{}")
    faulty.faults["TransactWriteItems"] = [cancelled("ValidationError")] * 30
    with pytest.raises(ClientError, match="ValidationError"):
        await store.parking.park("Desk.mailed", record, Failure("it broke"), attempts=1)
    assert len(faulty.calls["TransactWriteItems"]) == 1
    faulty.faults["TransactWriteItems"] = [cancelled("ThrottlingError"), cancelled("TransactionConflict")]
    await store.parking.park("Desk.mailed", record, Failure("it broke"), attempts=1)
    assert len(await store.parking.list("Desk.mailed", "k")) == 1


async def test_a_lost_or_half_done_acknowledgement_is_finished(
    faulty: FaultyAws, through: tuple[Dynamo, Sqs], aws_endpoint: str, prefix: str
) -> None:
    store, sqs = through
    await publish(store, *range(12))

    async def half(body: bytes, forward: Pass) -> web.Response:
        asked = orjson.loads(body)["RequestItems"]
        ((table, requests),) = asked.items()
        await forward(orjson.dumps({"RequestItems": {table: requests[1:]}}))
        return web.json_response({"UnprocessedItems": {table: requests[:1]}})

    faulty.faults["BatchWriteItem"] = [half, lost_answer]
    async with running(relay(store, sqs)):
        await until(lambda: drained(store), seconds=5)  # a sweep would mend it later
    assert len(faulty.calls["BatchWriteItem"]) == 3
    assert await arrived(aws_endpoint, prefix) == {"k": list(range(12))}


async def test_an_acknowledgement_that_fails_beside_the_next_send_is_made_good(
    faulty: FaultyAws, through: tuple[Dynamo, Sqs], aws_endpoint: str, prefix: str
) -> None:
    store, sqs = through
    await publish(store, *range(10))
    faulty.faults["BatchWriteItem"] = [refusal("InternalServerError", status=500)] * 3
    small = Relay("sqs", store.outbox("sqs", CHANNELS), sqs, store.committed(), store.parking, batch=4)
    async with running(small):
        await until(lambda: drained(store), seconds=5)  # a sweep would mend it later
    assert await arrived(aws_endpoint, prefix) == {"k": list(range(10))}


async def test_only_the_entries_that_failed_are_sent_again(
    faulty: FaultyAws, through: tuple[Dynamo, Sqs], aws_endpoint: str, prefix: str
) -> None:
    store, sqs = through
    await publish(store, 0, keys=[f"k-{number}" for number in range(10)])

    async def fail_three(body: bytes, forward: Pass) -> web.Response:
        asked = orjson.loads(body)
        failing, asked["Entries"] = asked["Entries"][:3], asked["Entries"][3:]
        answer = orjson.loads((await forward(orjson.dumps(asked))).body)  # type: ignore[arg-type]  # bytes, as forwarded
        failed = [{"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"} for entry in failing]
        return web.json_response({"Successful": answer["Successful"], "Failed": failed})

    faulty.faults["SendMessageBatch"] = [fail_three, refusal("RequestThrottled"), lost_answer]
    async with running(relay(store, sqs)):
        await until(lambda: drained(store))
    sizes = [len(orjson.loads(body)["Entries"]) for body in faulty.calls["SendMessageBatch"]]
    assert sizes == [10, 3, 3, 3]  # lost answers are sent again: the queue may hold those three twice
    assert await arrived(aws_endpoint, prefix) == {f"k-{number}": [0] for number in range(10)}


async def test_a_relay_thought_dead_during_its_acknowledgement_harms_nothing(
    faulty: FaultyAws, through: tuple[Dynamo, Sqs], aws_endpoint: str, prefix: str
) -> None:
    store, sqs = through
    awake = asyncio.Event()
    async with opened(aws_endpoint, prefix) as (other_store, other_sqs):
        await publish(store, 1, 2, 3)
        # It has sent, and hears for seven seconds of nothing it does; its heir sends again, and more.
        faulty.faults["PutItem"] = [held(awake)] * 50
        faulty.faults["BatchWriteItem"] = [held(awake)]
        async with running(relay(store, sqs)), running(relay(other_store, other_sqs)):
            await publish(other_store, 4, 5)
            await until(lambda: drained(other_store))
            awake.set()
            faulty.faults.clear()
            await publish(store, 6)
            await until(lambda: drained(other_store))
    assert await arrived(aws_endpoint, prefix) == {"k": [1, 2, 3, 4, 5, 6]}


async def test_a_record_the_queue_never_takes_is_parked_with_its_key_and_others_flow(
    aws_endpoint: str, prefix: str
) -> None:
    async with opened(aws_endpoint, prefix) as (store, sqs):
        queues = Queues(store.aws)
        url = await queues.url(LEDGER.name)

        async def limit(size: int) -> None:
            await queues.call("SetQueueAttributes", QueueUrl=url, Attributes={"MaximumMessageSize": str(size)})

        async def book(number: int, *keys: str, words: str = "") -> None:
            async with store.transaction() as tx:
                for key in keys:
                    tx.publish(Booked(name=key, number=number, words=words))

        async def all_sent() -> bool:
            return await looking.lag_seconds() == 0.0

        await limit(1_024)
        await book(1, "bad", "good")
        await book(2, "bad", words="x" * 2_000)
        await book(3, "bad", "good")
        looking = store.outbox("looking", frozenset({LEDGER.name}))
        outbox = store.outbox("sqs", frozenset({LEDGER.name}))
        async with parts_running(
            Relay("sqs", outbox, sqs, store.committed(), store.parking),
            Resender("sqs", store.parking, sqs, every_seconds=0.1),
        ):
            await until(all_sent)
            await book(4, "bad", "good")
            await until(all_sent)
            assert await arrived(aws_endpoint, prefix, LEDGER) == {"bad": [1], "good": [1, 3, 4]}
            parked = await store.parking.list("relay-sqs/ledger.fifo", "bad")
            assert [Booked.model_validate_json(each.record.payload).number for each in parked] == [2, 3, 4]
            assert "1024" in parked[0].reason
            await limit(4_096)

            async def nothing_parked() -> bool:
                return not await store.parking.keys()

            await until(nothing_parked)
            await book(5, "bad")
            await until(all_sent)
        assert await arrived(aws_endpoint, prefix, LEDGER) == {"bad": [2, 3, 4, 5]}


_KILLED = """
import asyncio, os, signal, sys
from corelib.aws.clients import Aws
from corelib.clock import SystemClock
from corelib.dynamo.store import Dynamo
from corelib.relay.relay import Relay
from corelib.relay.parking import Resender
from corelib.sqs.broker import Sqs
from corelib.transaction import Origin

class Last(Sqs):
    async def send(self, records):
        await super().send(records)
        os.kill(os.getpid(), signal.SIGKILL)

async def main(endpoint, prefix):
    aws = Aws(endpoint_url=endpoint, prefix=prefix)
    store, sqs = Dynamo("shop", aws), Last(aws)
    await store.open(Origin("shop", SystemClock(), frozenset()))
    await sqs.open()
    outbox = store.outbox("sqs", frozenset({"mails"}))
    await Relay("sqs", outbox, sqs, store.committed(), store.parking).run(asyncio.Event())

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_relay_killed_between_send_and_acknowledge_is_followed_by_another(
    aws_endpoint: str, prefix: str
) -> None:
    async with opened(aws_endpoint, prefix) as (store, sqs):
        await publish(store, *range(5), keys=("a", "b"))
        command: tuple[Any, ...] = (sys.executable, "-c", _KILLED, aws_endpoint, prefix)
        process = await asyncio.create_subprocess_exec(*command)
        assert await asyncio.wait_for(process.wait(), 30) == -signal.SIGKILL
        assert not await drained(store)
        async with running(relay(store, sqs)):
            await publish(store, 5, keys=("a", "b"))
            await until(lambda: drained(store))
    assert await arrived(aws_endpoint, prefix) == {"a": list(range(6)), "b": list(range(6))}
