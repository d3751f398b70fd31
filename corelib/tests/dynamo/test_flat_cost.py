"""What a question costs, counted in calls and in items read: the same however much waits or was handled."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from corelib.clock import ManualClock
from corelib.dynamo.layout import mark_key
from corelib.dynamo.store import Dynamo
from corelib.errors import Duplicate
from corelib.message import Envelope
from corelib.store import Failure
from corelib.transaction import Mark
from dynamo.shop import Open, Placed

FEW, MANY = 10, 5_000
_OF_A_TRANSACTION = 90
HANDLER, KEY = "Shelf.placed", "o-1"
Spent = list[tuple[str, int]]


@contextmanager
def counted(store: Dynamo) -> Iterator[Spent]:
    """Note each call of a store with the items that DynamoDB read for it, also those that it did not return."""
    spent: Spent = []
    call = store._client.call

    async def noted(operation: str, **params: Any) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        try:
            answer = await call(operation, **params)
        finally:
            spent.append((operation, answer.get("ScannedCount", 0)))
        return answer

    store._client.call = noted  # type: ignore[method-assign]
    yield spent
    store._client.call = call  # type: ignore[method-assign]
    spent.sort()  # some are asked at once


async def scheduled(store: Dynamo, clock: ManualClock, count: int) -> None:
    """Have so many timers wait, the first of them in an hour."""
    for first in range(0, count, _OF_A_TRANSACTION):
        async with store.transaction() as tx:
            for number in range(first, min(first + _OF_A_TRANSACTION, count)):
                tx.schedule(Placed(order_id=f"o-{number}"), at=clock.now() + timedelta(hours=1, seconds=number))


async def looked(store: Dynamo, other: Dynamo, clock: ManualClock) -> list[Spent]:
    """Return what it costs to look while nothing is due, and to find and fire the one that is."""
    with counted(store) as nothing:
        store._due._agenda.look_soon()
        assert await store.fire(100) == 0
        assert await store.overdue_seconds() == 0.0
    async with other.transaction() as tx:
        tx.schedule(Placed(order_id="due"), at=clock.now())
    with counted(store) as one:
        store._due._agenda.look_soon()
        assert await store.fire(100) == 1
    return [nothing, one]


async def test_looking_for_timers_costs_the_same_however_many_are_not_due(open_store: Open, clock: ManualClock) -> None:
    store, other = await open_store(), await open_store()
    spent = []
    for count in (FEW, MANY):
        await scheduled(other, clock, count)
        spent.append(await looked(store, other, clock))
    few, many = spent
    assert many == few
    assert few == [[("Query", 0)] * 8, [*[("Query", 0)] * 3, ("Query", 1), ("TransactWriteItems", 0)]]


async def marked(store: Dynamo, number: int) -> list[Spent]:
    """Return what it costs to mark an event alone and with what its handler writes, and to know it again."""
    marks = [Mark("Shelf.placed", f"{number}-{letter}") for letter in "ab"]
    with counted(store) as alone:
        async with store.transaction(mark=marks[0]):
            pass
    with counted(store) as writing:
        async with store.transaction(mark=marks[1]) as tx:
            tx.publish(Placed(order_id=f"new-{number}"))
    with counted(store) as again, pytest.raises(Duplicate):
        async with store.transaction(mark=marks[0]):
            pass
    return [alone, writing, again]


async def test_a_mark_is_one_conditional_put_however_many_there_are(store: Dynamo) -> None:
    spent = []
    for count in (FEW, MANY):
        items = [mark_key("Shelf.placed", f"{number} of {count}") for number in range(count)]
        await store._client.write_all(store._table, [{"PutRequest": {"Item": item}} for item in items])
        spent.append(await marked(store, count))
    few, many = spent
    assert many == few
    assert few == [[("PutItem", 0)], [("TransactWriteItems", 0)], [("PutItem", 0)]]


async def asked_of_a_queue(store: Dynamo) -> list[Spent]:
    """Return what it costs to read the first records of a parked queue, to take them out, and to let others wait."""
    with counted(store) as reading:
        first = await store.parking.list(HANDLER, KEY, limit=5)
    with counted(store) as removing:
        await store.parking.remove(*first)
    with counted(store) as waiting:
        assert await store.parking.append(HANDLER, *(each.record for each in first)) == len(first)
    with counted(store) as telling:
        assert len(await store.parking.queues()) == 1
    return [reading, removing, waiting, telling]


async def test_a_parked_queue_costs_the_same_however_long_it_is(store: Dynamo) -> None:
    spent = []
    for count in (FEW, MANY):
        await queue_of(store, count)
        spent.append(await asked_of_a_queue(store))
    few, many = spent
    assert many == few
    assert few == [
        [("GetItem", 0), ("Query", 5)],
        [("GetItem", 0), ("Query", 5), ("TransactWriteItems", 0), ("UpdateItem", 0)],
        [("GetItem", 0), ("TransactWriteItems", 0), ("UpdateItem", 0)],
        [("Query", 1), ("Query", 1)],
    ]


async def queue_of(store: Dynamo, count: int) -> None:
    """Let so many records wait behind a parked one."""
    first, *behind = (Envelope(uuid4(), "test.placed.v1", "test", datetime.now(UTC), KEY) for _ in range(count))
    await store.parking.park(HANDLER, first.record("orders", b"{}"), Failure("ValueError: it broke"), attempts=8)
    assert await store.parking.append(HANDLER, *(each.record("orders", b"{}") for each in behind)) == len(behind)
