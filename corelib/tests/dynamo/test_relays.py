"""Relays that share a DynamoDB outbox, and the table's stream that tells them of each other's commits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import orjson
import pytest
import pytest_asyncio
from aiohttp import web

from corelib.aws.clients import Aws
from corelib.clock import SystemClock
from corelib.dynamo.layout import SHARDS, Entry, pending_item
from corelib.dynamo.outbox import Outbox
from corelib.dynamo.store import Dynamo
from corelib.dynamo.streams import Stream
from corelib.errors import LeaseLost
from corelib.message import Channel, Event, Record
from corelib.store import Pending
from corelib.testing.running import free_port, parts_running, until
from corelib.transaction import Origin

ORDERS = Channel("orders")
CHANNELS = frozenset({"orders"})


class Placed(Event, type="test.placed.v1", channels=(ORDERS,), key="order_id"):
    order_id: str
    number: int = 0


Open = Callable[..., Awaitable[Dynamo]]


@pytest_asyncio.fixture
async def open_store(aws_endpoint: str) -> AsyncIterator[Open]:
    """Open any number of stores as replicas of one service would: own clients, same tables."""
    prefix = f"t{uuid4().hex[:10]}-"
    opened: list[Dynamo] = []

    async def replica(**options: Any) -> Dynamo:
        store = Dynamo("shop", Aws(endpoint_url=aws_endpoint, prefix=prefix), **options)
        if not opened:
            await store.provision()
        await store.open(Origin("shop", SystemClock(), frozenset({Placed})))
        opened.append(store)
        return store

    yield replica
    for store in opened:
        await store.close()


async def place(store: Dynamo, *keys: str, number: int = 0) -> None:
    for key in keys:
        async with store.transaction() as tx:
            tx.publish(Placed(order_id=key, number=number))


def keys(pending: list[Pending]) -> list[str]:
    return [entry.record.key for entry in pending]


async def read(outbox: Outbox) -> list[Pending]:
    return list(await outbox.read(1_000))


async def takes_all(outbox: Outbox, holder: str) -> bool:
    return await outbox.acquire(holder) and len(outbox.held) == SHARDS


KEYS = [f"o-{number}" for number in range(40)]


async def test_relays_share_the_shards_and_each_entry_has_one_reader(open_store: Open) -> None:
    outboxes = [(await open_store()).outbox("kafka", CHANNELS) for _ in range(3)]
    for _ in range(2):
        for number, outbox in enumerate(outboxes):
            await outbox.acquire(str(number))
    assert sorted(shard for outbox in outboxes for shard in outbox.held) == list(range(SHARDS))
    assert min(len(outbox.held) for outbox in outboxes) >= SHARDS // len(outboxes)
    await place(await open_store(), *KEYS)
    shown = [keys(await read(outbox)) for outbox in outboxes]
    assert all(shown)
    assert sorted(key for each in shown for key in each) == sorted(KEYS)


async def test_a_relay_that_leaves_leaves_its_share_to_the_others(open_store: Open) -> None:
    first, second = [(await open_store()).outbox("kafka", CHANNELS) for _ in range(2)]
    assert await first.acquire("a")
    assert not await second.acquire("b")  # everything is a's until it hears of b
    await first.acquire("a")
    assert await second.acquire("b")
    assert len(first.held) == len(second.held) == SHARDS // 2
    await place(await open_store(), *KEYS)
    await first.release()
    assert await takes_all(second, "b")
    assert sorted(keys(await read(second))) == sorted(KEYS)


async def test_what_is_in_hand_is_not_given_up(open_store: Open) -> None:
    store = await open_store()
    first, second = store.outbox("kafka", CHANNELS), (await open_store()).outbox("kafka", CHANNELS)
    await first.acquire("a")
    await place(store, *KEYS)
    in_hand = await read(first)
    assert not await second.acquire("b")
    await first.acquire("a")
    assert len(first.held) == SHARDS
    await first.acknowledge(in_hand)
    await first.acquire("a")
    assert len(first.held) == SHARDS // 2


async def test_a_silent_relay_is_replaced_and_what_it_still_does_is_refused(open_store: Open) -> None:
    store = await open_store(lease_seconds=0.4)
    zombie, heir = store.outbox("kafka", CHANNELS), (await open_store(lease_seconds=0.4)).outbox("kafka", CHANNELS)
    await zombie.acquire("a")
    await place(store, *KEYS)
    in_hand = await read(zombie)
    await until(lambda: takes_all(heir, "b"))
    with pytest.raises(LeaseLost):
        await zombie.acknowledge(in_hand)
    assert sorted(keys(await read(heir))) == sorted(KEYS)


async def test_a_relay_that_beats_keeps_its_share(open_store: Open) -> None:
    first = (await open_store(lease_seconds=0.4)).outbox("kafka", CHANNELS)
    second = (await open_store(lease_seconds=0.4)).outbox("kafka", CHANNELS)
    await first.acquire("a")
    await second.acquire("b")
    beats = 0

    async def long_enough() -> bool:
        nonlocal beats
        beats += 1
        await first.acquire("a")
        await second.acquire("b")
        return beats > 40  # 0.8 s

    await until(long_enough)
    assert len(first.held) == len(second.held) == SHARDS // 2


async def followed(outbox: Outbox) -> bool:
    """Tell whether the stream is followed, and let no sweep help from now on."""
    if not outbox._pace.streamed:
        return False
    await read(outbox)
    outbox._sweep_at = float("inf")
    return True


async def has(outbox: Outbox, *expected: str) -> bool:
    return sorted(keys(await read(outbox))) == sorted(expected)


async def test_what_another_replica_commits_comes_by_the_stream(open_store: Open) -> None:
    writer, store = await open_store(), await open_store()
    outbox = store.outbox("kafka", CHANNELS)
    await outbox.acquire("a")
    async with parts_running(*store.parts()):
        await until(lambda: followed(outbox))
        woken = store.committed()
        await place(writer, "o-1")
        await asyncio.wait_for(woken.wait(10), 10)
        await until(lambda: has(outbox, "o-1"))
        await outbox.acknowledge(await read(outbox))
        await place(writer, "o-1", "o-2")
        await until(lambda: has(outbox, "o-1", "o-2"))


async def test_when_the_stream_breaks_sweeps_find_what_it_would_have_told(open_store: Open) -> None:
    writer, store = await open_store(), await open_store()
    outbox = store.outbox("kafka", CHANNELS)
    await outbox.acquire("a")
    async with parts_running(*store.parts()):
        await until(lambda: followed(outbox))
        off = {"StreamEnabled": False}
        await writer._client.call("UpdateTable", TableName=writer._table, StreamSpecification=off)
        await place(writer, "o-1")
        await until(lambda: has(outbox, "o-1"))


async def test_a_table_without_a_stream_is_swept(open_store: Open) -> None:
    writer, store = await open_store(streams=False), await open_store()
    outbox = store.outbox("kafka", CHANNELS)
    await outbox.acquire("a")
    async with parts_running(*store.parts()):
        await place(writer, "o-1")
        await until(lambda: has(outbox, "o-1"))
        await place(writer, "o-2")
        await until(lambda: has(outbox, "o-1", "o-2"))


async def test_provisioning_adds_the_stream_to_a_table_that_has_none(open_store: Open) -> None:
    await open_store(streams=False)
    store = await open_store()
    assert [change.summary for change in await store.migrate(dry_run=True)] == [f"stream of {store._table}"]
    await store.migrate()
    assert not await store.migrate(dry_run=True)


class SplitStream:
    """DynamoDB Streams with a shard that ends and two that go on from it, which the emulator has not."""

    def __init__(self) -> None:
        self.shards: dict[str, list[int]] = {"parent": [1, 2]}
        self.ended = False

    def split(self) -> None:
        self.shards["parent"].append(3)
        self.ended = True
        self.shards |= {"left": [4], "right": [5, 6]}

    async def answer(self, request: web.Request) -> web.Response:
        _, operation = request.headers["X-Amz-Target"].split(".")
        return web.json_response(getattr(self, operation)(orjson.loads(await request.read())))

    def DescribeStream(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 -- the protocol's name
        names = list(self.shards)
        after = asked.get("ExclusiveStartShardId")
        name = names[names.index(after) + 1 if after else 0]
        ended = {"EndingSequenceNumber": "3"} if name == "parent" and self.ended else {}
        more = {"LastEvaluatedShardId": name} if name != names[-1] else {}
        return {"StreamDescription": {"Shards": [{"ShardId": name, "SequenceNumberRange": ended}], **more}}

    def GetShardIterator(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 -- the protocol's name
        name = asked["ShardId"]
        return {"ShardIterator": f"{name} {len(self.shards[name]) if asked['ShardIteratorType'] == 'LATEST' else 0}"}

    def GetRecords(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 -- the protocol's name
        name, at = asked["ShardIterator"].split()
        found = self.shards[name][int(at) :][:1]
        following = int(at) + len(found)
        over = name == "parent" and self.ended and following == len(self.shards[name])
        return {
            "Records": [self._record(number) for number in found],
            **({} if over else {"NextShardIterator": f"{name} {following}"}),
        }

    def _record(self, number: int) -> dict[str, Any]:
        entry = Entry(Record("orders", "o-1", (), b"{}"), number, number)
        return {"eventName": "INSERT", "dynamodb": {"NewImage": pending_item(entry)}}


async def test_a_shard_that_splits_is_read_to_its_end_and_its_children_from_their_beginning() -> None:
    split, port = SplitStream(), free_port()
    app = web.Application()
    app.router.add_post("/", split.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    aws = Aws(endpoint_url=f"http://127.0.0.1:{port}")
    await aws.open()
    try:
        stream = Stream(aws, "arn")
        await stream.begin()
        split.split()
        seen = [int(item["sk"]["S"]) for _ in range(4) for item in await stream.items()]
    finally:
        await aws.close()
        await runner.cleanup()
    assert sorted(seen) == [3, 4, 5, 6]
