"""The DynamoDB store against a real endpoint: what is its own, beside the contract of every store."""

from collections.abc import Callable
from typing import Any

import pytest

from corelib.clock import ManualClock
from corelib.dynamo.items import pack, unpack
from corelib.dynamo.parked_items import partition
from corelib.dynamo.store import Dynamo
from corelib.dynamo.transaction import DynamoTransaction
from corelib.errors import Conflict, Duplicate, TooLarge
from corelib.ids import uuid7
from corelib.message import Envelope, Record
from corelib.metrics import AWS_CALLS
from corelib.parking import failure_of
from corelib.store import Failure
from corelib.transaction import MAX_KEY_BYTES, Mark, size_of
from dynamo.shop import CARTS, LINES, ORDERS, Open, Placed, numbers, place, read, reader


def test_plain_values_survive_packing() -> None:
    item = {"s": "ü", "n": -5, "b": True, "x": None, "raw": b"\x00\xff", "l": [1, {"deep": ["a"]}], "e": "", "m": {}}
    assert unpack(pack(item)) == item


def test_floats_are_refused() -> None:
    with pytest.raises(TypeError, match=r"1\.5 is a float: documents hold str, int, bool"):
        pack({"price": 1.5})


def test_a_key_that_an_item_lacks_is_named_with_its_table() -> None:
    with pytest.raises(KeyError, match=r"'user_id' of table carts: its key is \('user_id',\), given was \['user'\]"):
        CARTS.key_of({"user": "u-1"})


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


async def test_the_largest_event_of_a_service_can_be_sent_and_parked(store: Dynamo, clock: ManualClock) -> None:
    envelope = Envelope(uuid7(), Placed.type, "souk/shop", clock.now(), "k" * MAX_KEY_BYTES, "x" * 55)
    empty = envelope.record(ORDERS.name, b"")
    record = empty._replace(payload=b"x" * (Dynamo.max_event_bytes - size_of(empty)))
    failure = failure_of(ValueError("x" * 100_000))
    failure = Failure(failure.reason, "x" * 8_000)
    async with store.transaction() as tx:
        tx.outgoing.append(record)
    (pending,) = await read(await reader(store))
    await store.parking.park("Shelf.placed", pending.record, failure, attempts=5)
    (parked,) = await store.parking.list()
    assert (pending.record, parked.record, parked.reason) == (record, record, failure.reason)


async def test_a_large_record_that_is_taken_out_while_it_is_listed_is_not_told_in_halves(open_store: Open) -> None:
    store, other = await open_store(), await open_store()
    records = [Record(ORDERS.name, "k", (("ce_id", letter),), letter.encode() * 800_000) for letter in "ab"]
    for record in records:
        await store.parking.park("Shelf.placed", record, Failure("broken"), attempts=1)
    first, behind = await other.parking.list()
    call = store._client.call
    pages: list[int] = []

    async def late(operation: str, **params: Any) -> dict[str, Any]:
        if operation != "Query" or params["ExpressionAttributeValues"][":pk"] != {"S": partition("Shelf.placed", "k")}:
            return await call(operation, **params)
        answer = await call(operation, **params, Limit=5)
        if not pages:
            await other.parking.remove(behind)
        pages.append(len(answer["Items"]))
        return answer

    store._client.call = late  # type: ignore[method-assign]
    assert await store.parking.list() == [first]
    assert pages == [5, 0], "the record was not halved"


@pytest.mark.parametrize(("count", "size"), [(1, 410_000), (12, 390_000)], ids=["an item", "a transaction"])
async def test_state_that_dynamodb_has_no_room_for_is_refused_clearly(store: Dynamo, count: int, size: int) -> None:
    async def work() -> None:
        async with store.transaction() as tx:
            for number in range(count):
                tx.put(CARTS, {"user_id": f"u-{number}", "text": "x" * size})
            tx.publish(Placed(order_id="o-1"))

    with pytest.raises(TooLarge, match=r"DynamoDB has no room for it: .*size"):
        await work()
    assert await read(await reader(store)) == []


async def test_more_than_four_megabytes_of_events_are_refused_clearly(store: Dynamo) -> None:
    async def work() -> None:
        async with store.transaction() as tx:
            for number in range(17):
                tx.publish(Placed(order_id=f"o-{number}", text="x" * 250_000))

    with pytest.raises(TooLarge, match="bytes of events in a transaction; DynamoDB takes 4 MB"):
        await work()
    assert await read(await reader(store)) == []


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
