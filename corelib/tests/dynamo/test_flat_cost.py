"""What a question costs, counted in calls and in items read: the same however much waits or was handled."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from corelib.clock import ManualClock
from corelib.dynamo.layout import mark_key
from corelib.dynamo.store import Dynamo
from corelib.errors import Duplicate
from corelib.transaction import Mark
from dynamo.shop import Open, Placed

FEW, MANY = 10, 5_000
_OF_A_TRANSACTION = 90
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
