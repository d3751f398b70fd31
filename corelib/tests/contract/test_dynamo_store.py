"""The DynamoDB store against a real endpoint: what is its own, beside the contract of every store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio

from corelib.aws import Aws
from corelib.clock import ManualClock
from corelib.dynamo.items import pack, unpack
from corelib.dynamo.layout import Entry
from corelib.dynamo.outbox import Outbox
from corelib.dynamo.store import Dynamo
from corelib.dynamo.tables import Index, Table
from corelib.dynamo.transaction import DynamoTransaction
from corelib.errors import Conflict, Duplicate, Problem, TooLarge, Unavailable
from corelib.message import Channel, Event, Transport
from corelib.metrics import AWS_CALLS
from corelib.once import run_once
from corelib.store import Pending, Store
from corelib.transaction import Mark, Origin, Transaction

ORDERS = Channel("orders")
MAILS = Channel("mails", Transport.SQS)
CARTS = Table("carts", "user_id")
LINES = Table("lines", "order_id", "line", (Index("by_product", "product_id", "order_id"),), ttl="expires_at")


class Placed(Event, type="test.placed.v1", channels=(ORDERS,), key="order_id"):
    order_id: str
    number: int = 0


class Mailed(Event, type="test.mailed.v1", channels=(ORDERS, MAILS), key="order_id"):
    order_id: str


CHANNELS = frozenset({"orders"})
Open = Callable[..., Awaitable[Dynamo]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def open_store(aws_endpoint: str, clock: ManualClock) -> AsyncIterator[Open]:
    """Open any number of stores as replicas of one service would: own clients, same tables."""
    prefix = f"t{uuid4().hex[:10]}-"
    opened: list[Dynamo] = []

    async def replica(endpoint: str = aws_endpoint) -> Dynamo:
        aws = Aws(endpoint_url=endpoint, prefix=prefix)
        store = Dynamo("shop", aws, tables=(CARTS, LINES))
        if not opened:
            await store.provision()
        await store.open(Origin("shop", clock, frozenset({Placed, Mailed})))
        opened.append(store)
        return store

    yield replica
    for store in opened:
        await store.close()


@pytest_asyncio.fixture
async def store(open_store: Open) -> Dynamo:
    return await open_store()


async def reader(store: Store, relay: str = "kafka", channels: frozenset[str] = CHANNELS) -> Outbox:
    outbox = store.outbox(relay, channels)
    assert isinstance(outbox, Outbox)
    assert await outbox.acquire(uuid4().hex)
    return outbox


async def place(store: Dynamo, order_id: str, *numbers: int) -> None:
    async with store.transaction() as tx:
        for number in numbers:
            tx.publish(Placed(order_id=order_id, number=number))


def numbers(pending: list[Pending] | tuple[Pending, ...], order_id: str = "o-1") -> list[int]:
    return [
        Placed.model_validate_json(entry.record.payload).number for entry in pending if entry.record.key == order_id
    ]


async def read(outbox: Outbox, limit: int = 100) -> list[Pending]:
    return list(await outbox.read(limit))


def test_plain_values_survive_packing() -> None:
    item = {"s": "ü", "n": -5, "b": True, "x": None, "raw": b"\x00\xff", "l": [1, {"deep": ["a"]}], "e": "", "m": {}}
    assert unpack(pack(item)) == item


def test_floats_are_refused() -> None:
    with pytest.raises(TypeError, match="float"):
        pack({"price": 1.5})


async def test_state_and_events_commit_together(store: Dynamo) -> None:
    async with store.transaction() as tx:
        tx.put(CARTS, {"user_id": "u-1", "version": 1, "lines": [{"product": "p", "quantity": 2}]}, new=True)
        tx.publish(Placed(order_id="o-1", number=7))
    cart = await store.get(CARTS, {"user_id": "u-1"})
    assert cart == {"user_id": "u-1", "version": 1, "lines": [{"product": "p", "quantity": 2}]}
    assert numbers(await read(await reader(store))) == [7]


async def test_an_exception_in_the_block_writes_nothing(store: Dynamo) -> None:
    async def work() -> None:
        async with store.transaction(mark=Mark("h", "1")) as tx:
            tx.put("carts", {"user_id": "u-1"})
            tx.publish(Placed(order_id="o-1"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    assert await store.get("carts", {"user_id": "u-1"}) is None
    assert await store.recall(Mark("h", "1")) == (False, None)
    assert await read(await reader(store)) == []


@pytest.mark.parametrize(
    "write",
    [
        lambda tx: tx.put(CARTS, {"user_id": "u-1", "version": 8}, new=True),
        lambda tx: tx.put(CARTS, {"user_id": "u-1", "version": 8}, version=7),
        lambda tx: tx.put(CARTS, {"user_id": "u-2", "version": 8}, version=7),
        lambda tx: tx.delete(CARTS, {"user_id": "u-1"}, version=2),
        lambda tx: tx.check(CARTS, {"user_id": "u-1"}, 2),
    ],
)
async def test_a_stale_version_is_a_conflict_and_publishes_nothing(
    store: Dynamo, write: Callable[[DynamoTransaction], None]
) -> None:
    await store.put(CARTS, {"user_id": "u-1", "version": 1})

    async def work() -> None:
        async with store.transaction() as tx:
            write(tx)
            tx.publish(Placed(order_id="o-1"))

    with pytest.raises(Conflict):
        await work()
    assert [item async for item in store.scan(CARTS)] == [{"user_id": "u-1", "version": 1}]
    assert await read(await reader(store)) == []


async def test_the_last_write_of_an_item_holds_under_the_first_condition(store: Dynamo) -> None:
    async with store.transaction() as tx:
        tx.put(CARTS, {"user_id": "u-1", "version": 1}, new=True)
        tx.put(CARTS, {"user_id": "u-1", "version": 2}, version=1)
    async with store.transaction() as tx:
        tx.check(CARTS, {"user_id": "u-1"}, 2)
        tx.put(CARTS, {"user_id": "u-1", "version": 3})

    async def create_again() -> None:
        async with store.transaction() as tx:
            tx.put(CARTS, {"user_id": "u-1", "version": 1}, new=True)
            tx.put(CARTS, {"user_id": "u-1", "version": 2}, version=3)

    with pytest.raises(Conflict):
        await create_again()
    assert await store.get(CARTS, {"user_id": "u-1"}) == {"user_id": "u-1", "version": 3}


async def test_a_duplicate_is_told_what_was_remembered(store: Dynamo) -> None:
    mark = Mark("POST /orders#user", "key-1")

    async def work(answer: bytes) -> None:
        async with store.transaction(mark=mark) as tx:
            tx.put(CARTS, {"user_id": "u-1", "answer": answer})
            tx.publish(Placed(order_id="o-1"))
            tx.remember(answer)

    await work(b'{"order": 1}')
    with pytest.raises(Duplicate) as caught:
        await work(b'{"order": 2}')
    assert caught.value.remembered == b'{"order": 1}'
    assert await store.recall(mark) == (True, b'{"order": 1}')
    assert await store.get(CARTS, {"user_id": "u-1"}) == {"user_id": "u-1", "answer": b'{"order": 1}'}
    assert len(await read(await reader(store))) == 1


async def test_marks_of_different_scopes_never_meet(store: Dynamo) -> None:
    async with store.transaction(mark=Mark("a#b", "c")):
        pass
    async with store.transaction(mark=Mark("a", "b#c")):
        pass
    assert (await store.recall(Mark("a", "b#c")))[0]


async def test_more_than_a_hundred_items_are_refused_clearly(store: Dynamo) -> None:
    with pytest.raises(TooLarge, match="101 items"):
        await place(store, "o-1", *range(100))


async def test_queries_page_through_tables_and_indexes(store: Dynamo) -> None:
    async with store.transaction() as tx:
        for number in range(5):
            tx.put(LINES, {"order_id": "o-1", "line": str(number), "product_id": f"p-{number % 2}"})
    first, following = await store.query(LINES, key={"order_id": "o-1"}, limit=3, forward=False)
    rest, end = await store.query(LINES, key={"order_id": "o-1"}, limit=3, start=following, forward=False)
    assert [item["line"] for item in first + rest] == ["4", "3", "2", "1", "0"]
    assert end is None
    by_product, _ = await store.query(LINES, index="by_product", key={"product_id": "p-1", "order_id": "o-1"})
    assert {item["line"] for item in by_product} == {"1", "3"}
    keys = [{"order_id": "o-1", "line": str(number)} for number in (1, 4, 9)]
    assert {item["line"] for item in await store.get_many(LINES, keys)} == {"1", "4"}
    assert len([item async for item in store.scan(LINES)]) == 5
    await store.delete(LINES, {"order_id": "o-1", "line": "0"})
    await store.put(CARTS, {"user_id": "u-9"})
    assert await store.get(LINES, {"order_id": "o-1", "line": "0"}) is None
    assert await store.get(CARTS, {"user_id": "u-9"}, consistent=False) == {"user_id": "u-9"}


async def test_provisioning_twice_changes_nothing(store: Dynamo) -> None:
    await store.put(CARTS, {"user_id": "u-1"})
    await store.provision()
    assert await store.get(CARTS, {"user_id": "u-1"}) == {"user_id": "u-1"}


async def test_an_undeclared_table_is_named(store: Dynamo) -> None:
    with pytest.raises(LookupError, match="'cats' is not declared"):
        await store.get("cats", {"user_id": "u-1"})


async def test_records_are_read_again_until_acknowledged(store: Dynamo) -> None:
    await place(store, "o-1", 0, 1)
    await place(store, "o-1", 2)
    outbox = await reader(store)
    assert numbers(await read(outbox)) == [0, 1, 2]
    pending = await read(outbox)
    await outbox.acknowledge(pending[:2])
    assert numbers(await read(outbox)) == [2]
    await outbox.acknowledge(await read(outbox))
    assert await read(outbox) == []
    await outbox.release()
    assert await read(await reader(store)) == []


async def test_another_replica_goes_on_in_sequence(open_store: Open) -> None:
    first, second = await open_store(), await open_store()
    for number in range(6):
        await place((first, second)[number % 2], "o-1", number)
    assert numbers(await read(await reader(first))) == list(range(6))


async def test_commits_in_this_process_reach_the_relay_without_a_query(store: Dynamo) -> None:
    outbox = await reader(store)
    assert await read(outbox) == []
    wake = store.committed()
    await place(store, "o-1", 0)
    await asyncio.wait_for(wake.wait(10), 1)
    outbox._sweep_at = float("inf")  # no sweep may help
    assert numbers(await read(outbox)) == [0]


async def test_each_relay_is_woken(store: Dynamo) -> None:
    wakes = [store.committed(), store.committed()]
    await place(store, "o-1", 0)
    for wake in wakes:
        await asyncio.wait_for(wake.wait(10), 1)


async def test_an_entry_that_the_index_shows_too_early_waits_for_its_predecessors(open_store: Open) -> None:
    writer, relaying = await open_store(), await open_store()
    outbox = await reader(relaying)
    assert await read(outbox) == []
    for number in range(14):
        await place(writer, "o-1", number)
    other = await reader(writer, "other")
    shown = [entry.position for entry in await read(other) if isinstance(entry.position, Entry)]
    outbox._sweep_at = float("inf")
    outbox.offer(shown[-1:])
    assert numbers(await read(outbox)) == list(range(14))


async def test_a_restarted_relay_goes_on_after_what_was_sent(open_store: Open) -> None:
    first = await open_store()
    outbox = await reader(first)
    await place(first, "o-1", 0, 1)
    await outbox.acknowledge(await read(outbox))
    await outbox.release()
    second = await open_store()
    await place(second, "o-1", 2)
    assert numbers(await read(await reader(second))) == [2]


async def test_concurrent_publishers_of_one_key_lose_nothing(open_store: Open) -> None:
    stores = [await open_store(), await open_store()]
    done: list[int] = []

    async def publish(number: int) -> None:
        while True:
            try:
                await place(stores[number % 2], "o-1", number)
            except Conflict:
                continue
            done.append(number)
            return

    await asyncio.gather(*(publish(number) for number in range(30)))
    pending = await read(await reader(stores[0]))
    assert sorted(numbers(pending)) == list(range(30))
    assert [entry.position.sequence for entry in pending if isinstance(entry.position, Entry)] == list(range(30))


async def test_relays_read_only_their_channels(store: Dynamo) -> None:
    async with store.transaction() as tx:
        tx.publish(Mailed(order_id="o-1"))
    kafka, sqs = await reader(store), await reader(store, "sqs", frozenset({"mails"}))
    assert {entry.record.channel for entry in await read(kafka)} == {"orders"}
    assert {entry.record.channel for entry in await read(sqs)} == {"mails"}


async def test_a_backlog_larger_than_a_page_drains_in_order(open_store: Open) -> None:
    store = await open_store()
    for batch in range(40):
        await place(store, f"o-{batch % 3}", *range(batch * 48, batch * 48 + 48))
    outbox = await reader(await open_store())
    seen: dict[str, list[int]] = {f"o-{number}": [] for number in range(3)}
    for _ in range(100):
        pending = await read(outbox, 300)
        for key, found in seen.items():
            found.extend(numbers(pending, key))
        await outbox.acknowledge(pending)
    assert sum(map(len, seen.values())) == 40 * 48
    assert all(found == sorted(found) for found in seen.values())


async def test_lag_is_the_age_of_the_oldest_record(store: Dynamo, clock: ManualClock) -> None:
    outbox = await reader(store)
    assert await outbox.lag_seconds() == 0.0
    await place(store, "o-1", 0)
    clock.advance(timedelta(seconds=3))
    await place(store, "o-2", 0)
    assert await outbox.lag_seconds() == 3.0
    await outbox.acknowledge(await read(outbox))
    assert await outbox.lag_seconds() == 0.0


async def test_an_acknowledgement_left_half_done_is_finished(open_store: Open, clock: ManualClock) -> None:
    store = await open_store()
    await place(store, "o-1", 0, 1, 2)
    crashed = await reader(store)
    await crashed.acknowledge((await read(crashed))[1:])  # entry 0 stayed behind, though it was sent before 1 and 2
    await crashed.release()
    outbox = await reader(store)
    outbox._sweep_at = float("inf")
    await place(store, "o-1", 3)
    assert numbers(await read(outbox)) == [3]
    await outbox.acknowledge(await read(outbox))
    clock.advance(timedelta(minutes=1))
    outbox._sweep_at = 0.0
    assert await read(outbox) == []
    await outbox.release()
    assert await read(await reader(store)) == []


async def test_timers_fire_when_due_and_in_order(store: Dynamo, clock: ManualClock) -> None:
    async with store.transaction() as tx:
        for number in (3, 1, 2):
            tx.schedule(Placed(order_id="o-1", number=number), at=clock.now() + timedelta(seconds=number))
        tx.schedule(Placed(order_id="o-1", number=9), at=clock.now() + timedelta(seconds=9))
    assert await store.fire(10) == 0
    clock.advance(timedelta(seconds=5))
    assert await store.fire(10) == 3
    assert await store.fire(10) == 0
    assert numbers(await read(await reader(store))) == [1, 2, 3]


async def test_replicas_fire_a_timer_once(open_store: Open, clock: ManualClock) -> None:
    stores = [await open_store() for _ in range(3)]
    async with stores[0].transaction() as tx:
        for number in range(20):
            tx.schedule(Placed(order_id=f"o-{number}", number=number), at=clock.now())
    fired = await asyncio.gather(*(store.fire(100) for store in stores))
    assert sum(fired) == 20
    assert len(await read(await reader(stores[0]))) == 20


async def test_a_cancelled_timer_never_fires(store: Dynamo, clock: ManualClock) -> None:
    async with store.transaction() as tx:
        timer = tx.schedule(Placed(order_id="o-1"), at=clock.now())
        tx.cancel(tx.schedule(Placed(order_id="o-2"), at=clock.now()))
    async with store.transaction() as tx:
        tx.cancel(timer)
    assert await store.fire(10) == 0
    async with store.transaction() as tx:
        tx.cancel(timer)


@asynccontextmanager
async def losing_answers(endpoint: str, operation: bytes) -> AsyncIterator[tuple[str, list[int]]]:
    """A proxy that passes requests on, but drops the answer to the first call of one operation."""
    host, port = endpoint.removeprefix("http://").split(":")
    lost: list[int] = []

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, state: dict[str, bool]) -> None:
        while data := await source.read(65536):
            if not lost and operation in data:
                state["drop"] = True
            target.write(data)
            await target.drain()

    async def serve(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_connection(host, int(port))
        state = {"drop": False}
        requests = asyncio.create_task(pump(near, forth, state))
        try:
            while data := await far.read(65536):
                if state["drop"] and not lost:
                    lost.append(len(data))
                    return
                back.write(data)
                await back.drain()
        finally:
            requests.cancel()
            forth.close()
            back.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", lost


async def test_a_commit_whose_answer_was_lost_is_not_doubled(open_store: Open, aws_endpoint: str) -> None:
    store = await open_store()
    async with losing_answers(aws_endpoint, b"TransactWriteItems") as (endpoint, lost):
        through = await open_store(endpoint)
        async with through.transaction(mark=Mark("h", "1")) as tx:
            tx.put(CARTS, {"user_id": "u-1", "version": 1}, new=True)
            tx.publish(Placed(order_id="o-1", number=1))
        assert lost
    assert numbers(await read(await reader(store))) == [1]


async def test_an_unreachable_database_is_unavailable() -> None:
    aws = Aws(endpoint_url="http://127.0.0.1:9", access_key_id="test", secret_access_key="test")
    store = Dynamo("shop", aws)
    with pytest.raises(Unavailable):
        await store.open(Origin("shop", ManualClock(), frozenset()))


async def test_a_database_without_tables_is_unavailable(aws_endpoint: str) -> None:
    prefix = f"t{uuid4().hex[:10]}-"
    store = Dynamo("shop", Aws(endpoint_url=aws_endpoint, prefix=prefix))
    with pytest.raises(Unavailable):
        await store.open(Origin("shop", ManualClock(), frozenset()))


def gets() -> float:
    return float(AWS_CALLS.labels("dynamodb", "GetItem")._value.get())


async def test_a_transaction_reads_what_it_has_written(store: Dynamo) -> None:
    async with store.transaction() as tx:
        assert await tx.get(CARTS, {"user_id": "u-1"}) is None
        tx.put(CARTS, {"user_id": "u-1", "version": 1})
        assert await tx.get(CARTS, {"user_id": "u-1"}) == {"user_id": "u-1", "version": 1}
        tx.delete(CARTS, {"user_id": "u-1"})
        assert await tx.get(CARTS, {"user_id": "u-1"}) is None


async def test_what_this_process_wrote_a_moment_ago_is_read_without_a_call(store: Dynamo) -> None:
    async with store.transaction() as tx:
        tx.put(CARTS, {"user_id": "u-1", "version": 1}, new=True)
    before = gets()
    async with store.transaction() as tx:
        assert await tx.get(CARTS, {"user_id": "u-1"}) == {"user_id": "u-1", "version": 1}
        tx.put(CARTS, {"user_id": "u-1", "version": 2}, version=1)
    assert gets() == before


async def test_a_decision_on_what_has_changed_meanwhile_is_a_conflict(open_store: Open) -> None:
    store, other = await open_store(), await open_store()
    await store.put(CARTS, {"user_id": "u-1", "version": 1})

    async def decide(user: str, *, write: bool) -> None:
        async with store.transaction(mark=Mark("h", user)) as tx:
            await tx.get(CARTS, {"user_id": user})
            await other.put(CARTS, {"user_id": user, "version": 7})
            if write:
                tx.put(CARTS, {"user_id": user, "version": 2})

    for user, write in (("u-1", False), ("u-2", False), ("u-3", True)):
        with pytest.raises(Conflict):
            await decide(user, write=write)
        assert await store.recall(Mark("h", user)) == (False, None)


@pytest.mark.parametrize("failing", [False, True])
async def test_who_was_misled_by_what_the_process_remembered_is_run_again(open_store: Open, *, failing: bool) -> None:
    store, other = await open_store(), await open_store()
    async with store.transaction() as tx:
        tx.put(CARTS, {"user_id": "u-1", "version": 1}, new=True)
    await other.put(CARTS, {"user_id": "u-1", "version": 2})
    seen: list[int] = []

    async def decide(tx: Transaction) -> None:
        assert isinstance(tx, DynamoTransaction)
        cart = await tx.get(CARTS, {"user_id": "u-1"}) or {}
        seen.append(cart["version"])
        if failing and cart["version"] == 1:
            raise Problem(409, "too-early", "Not yet.")

    await run_once(store, decide, mark=Mark("h", "1"))
    assert seen == [1, 2]


async def test_a_failure_on_fresh_reads_is_told_as_it_is(store: Dynamo) -> None:
    await store.put(CARTS, {"user_id": "u-1", "version": 1})

    async def fail(tx: Transaction) -> None:
        assert isinstance(tx, DynamoTransaction)
        await tx.get(CARTS, {"user_id": "u-1"})
        raise Problem(409, "too-early", "Not yet.")

    with pytest.raises(Problem):
        await run_once(store, fail)


async def test_a_mark_alone_is_one_conditional_put(store: Dynamo) -> None:
    transactions = AWS_CALLS.labels("dynamodb", "TransactWriteItems")
    before = transactions._value.get()

    async def remember(answer: bytes) -> None:
        async with store.transaction(mark=Mark("h", "1")) as tx:
            tx.remember(answer)

    await remember(b"first")
    with pytest.raises(Duplicate) as caught:
        await remember(b"second")
    assert caught.value.remembered == b"first"
    assert transactions._value.get() == before


async def test_times_rise_within_a_stream_whoever_wrote_by_whatever_clock(open_store: Open, clock: ManualClock) -> None:
    ahead, behind = await open_store(), await open_store()
    await place(ahead, "o-1", 1, 2)
    clock.advance(timedelta(seconds=-5))
    await place(behind, "o-1", 3)
    await place(ahead, "o-1", 4)
    pending = await read(await reader(ahead))
    assert numbers(pending) == [1, 2, 3, 4]
    times = [entry.position.committed for entry in pending if isinstance(entry.position, Entry)]
    assert times == sorted(set(times))


async def test_a_transaction_that_only_read_makes_no_call_to_commit(store: Dynamo) -> None:
    transactions = AWS_CALLS.labels("dynamodb", "TransactWriteItems")
    await store.put(CARTS, {"user_id": "u-1", "version": 1})
    before = transactions._value.get()
    async with store.transaction() as tx:
        assert await tx.get(CARTS, {"user_id": "u-1"}) == {"user_id": "u-1", "version": 1}
    assert transactions._value.get() == before
