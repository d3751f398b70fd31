"""Orders, carts and prices in DynamoDB and in memory: what is stored comes back, and the older state never wins."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from corelib.clock import SystemClock
from corelib.documents import DocumentStore
from corelib.errors import Conflict
from corelib.ids import uuid7
from corelib.transaction import Origin
from svc_order.app import in_memory, on_servers
from svc_order.domain import Line, Order, Price, Status, Step
from svc_order.settings import OrderSettings
from svc_order.store import Carts, Orders, Prices

NOW = SystemClock().now()


@pytest.fixture
async def db(either: dict[str, Any]) -> AsyncIterator[DocumentStore]:
    settings = OrderSettings(**either)
    parts = in_memory(settings, SystemClock()) if settings.in_memory else on_servers(settings)
    store = parts.store
    await store.provision()
    await store.open(Origin("souk/order", SystemClock(), frozenset()))
    yield store
    await store.close()


def order(user_id: UUID | None = None, *, minutes: int = 0) -> Order:
    lines = (Line("bread", 2, 250), Line("milk", 1, 10**12 - 500))
    placed = NOW + timedelta(minutes=minutes)
    return Order(uuid7(), user_id or uuid4(), "ünï@example.com", Status.PENDING, lines, 10**12, "USD", placed, uuid7())


async def add(db: DocumentStore, *orders: Order) -> None:
    for one in orders:
        async with db.transaction() as tx:
            Orders(db).add(tx, one)


async def save(db: DocumentStore, after: Order | None) -> Order:
    assert after is not None
    async with db.transaction() as tx:
        Orders(db).save(tx, after)
    return after


async def test_an_order_comes_back_as_it_was_stored_in_every_state(db: DocumentStore) -> None:
    placed = order()
    await add(db, placed)
    assert await Orders(db).find(placed.order_id) == placed
    reserved = await save(db, placed.after(Step.RESERVE, now=NOW))
    cancelled = await save(db, reserved.after(Step.CANCEL, now=NOW, reason="too late"))
    assert await Orders(db).find(placed.order_id) == cancelled
    assert cancelled.ended_at == NOW


async def test_of_two_next_states_the_first_is_kept(db: DocumentStore) -> None:
    placed = order()
    await add(db, placed)
    reserved = await save(db, placed.after(Step.RESERVE, now=NOW))
    with pytest.raises(Conflict):
        await save(db, placed.after(Step.CANCEL, now=NOW))
    assert await Orders(db).find(placed.order_id) == reserved


async def test_an_order_is_added_once(db: DocumentStore) -> None:
    placed = order()
    await add(db, placed)
    with pytest.raises(Conflict):
        await add(db, replace(placed, total=0))
    assert await Orders(db).find(placed.order_id) == placed


async def test_a_users_orders_come_newest_first_and_nobody_elses(db: DocumentStore) -> None:
    user = uuid4()
    placed = [order(user, minutes=minute) for minute in (3, 1, 2)]
    await add(db, *placed, order())
    first, following = await Orders(db).of_user(user, limit=2, start=None)
    assert following is not None
    rest, end = await Orders(db).of_user(user, limit=2, start=following)
    assert [one.order_id for one in (*first, *rest)] == [placed[at].order_id for at in (0, 2, 1)]
    assert end is None


async def test_a_cart_is_replaced_and_cleared(db: DocumentStore) -> None:
    user, carts = uuid4(), Carts(db)
    for lines in ([("bread", 1), ("milk", 2)], [("milk", 1_000)]):
        async with db.transaction() as tx:
            carts.fill(tx, user, lines)
        assert await carts.lines(user) == lines
    async with db.transaction() as tx:
        carts.clear(tx, user)
    assert await carts.lines(user) == []


async def store_price(db: DocumentStore, prices: Prices, price: Price, *, version: int, known: int) -> None:
    async with db.transaction() as tx:
        prices.store(tx, price, version=version, known=known)


async def test_a_price_is_remembered_for_as_long_as_told_and_no_longer(db: DocumentStore) -> None:
    name = str(uuid4())
    old, new = (Price(name, amount, "USD", active=True) for amount in (100, 200))
    remembering, asking = Prices(db, 3_600), Prices(db, 0)
    await store_price(db, asking, old, version=1, known=0)
    assert await remembering.of([name]) == await asking.of([name, "unknown"]) == {name: old}
    await store_price(db, asking, new, version=2, known=1)
    assert await remembering.of([name]) == {name: old}
    assert await asking.of([name]) == {name: new}


async def test_a_price_is_not_stored_over_one_it_does_not_know(db: DocumentStore) -> None:
    name, prices = str(uuid4()), Prices(db, 0)
    price = Price(name, 100, "USD", active=True)
    await store_price(db, prices, price, version=5, known=0)
    with pytest.raises(Conflict):
        await store_price(db, prices, replace(price, amount=1), version=6, known=0)
    with pytest.raises(Conflict):
        await store_price(db, prices, replace(price, amount=1), version=6, known=4)
    assert (await prices.version(name), await prices.of([name])) == (5, {name: price})
