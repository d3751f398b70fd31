"""Reservations on real PostgreSQL and in memory, in virtual time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.money import Money
from contracts.orders import OrderCancelled, OrderConfirmed, OrderLine, OrderPlaced
from contracts.stock import ReservationExpired, StockCommitted, StockRejected, StockReleased, StockReserved
from corelib.clock import ManualClock
from corelib.ids import uuid7
from corelib.memory.store import Memory
from corelib.message import Event
from corelib.testing.desk import Desk, desk
from svc_product.app import build
from svc_product.memory import RESERVATIONS, STOCK, MemoryCatalogue
from svc_product.postgres import SqlCatalogue
from svc_product.settings import ProductSettings
from svc_product.store import Catalogue, Product

PRICE = Money(amount=100, currency="USD")
RESERVATION = timedelta(minutes=15)
FINISHING = (StockCommitted, StockReleased)
BASKETS = st.lists(st.dictionaries(st.integers(0, 2), st.integers(1, 4), min_size=1), min_size=1, max_size=5)
WORDS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["placed", "confirmed", "cancelled", "expired"])), max_size=12
)


@pytest.fixture
async def at(either: dict[str, Any]) -> AsyncIterator[Desk]:
    clock = ManualClock()
    service = build(ProductSettings(**either), clock=clock)
    service.resources = [one for one in service.resources if one.name != "jwks"]
    async with desk(service, clock) as opened:
        yield opened


def catalogue_of(store: Any) -> Catalogue:
    return MemoryCatalogue(store) if isinstance(store, Memory) else SqlCatalogue(store)


async def stocked(at: Desk, units: int) -> str:
    store: Any = at.service.store
    product = Product(f"p-{uuid4()}", "Bread", "", 100, "USD", active=True, version=1)
    async with store.transaction() as tx:
        await catalogue_of(store).add(tx, product, units)
    return product.product_id


async def shelf(at: Desk, product: str) -> tuple[int, int]:
    store: Any = at.service.store
    found = await catalogue_of(store).find(product)
    assert found is not None
    assert found.shelf is not None
    return found.shelf.on_hand, found.shelf.reserved


def placed(at: Desk, **units: int) -> OrderPlaced:
    lines = tuple(OrderLine(product_id=name, quantity=count, unit_price=PRICE) for name, count in units.items())
    return OrderPlaced(order_id=uuid7(), user_id=uuid4(), lines=lines, total=PRICE, placed_at=at.clock.now())


def confirmed(at: Desk, order_id: UUID) -> OrderConfirmed:
    now = at.clock.now()
    return OrderConfirmed(
        order_id=order_id, user_id=uuid4(), email="a@example.com", total=PRICE, placed_at=now, confirmed_at=now
    )


def cancelled(at: Desk, order_id: UUID) -> OrderCancelled:
    return OrderCancelled(order_id=order_id, user_id=uuid4(), reason="x", cancelled_at=at.clock.now())


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


async def test_what_is_reserved_and_confirmed_leaves_the_shelf(at: Desk) -> None:
    bread = await stocked(at, 5)
    order = placed(at, **{bread: 2})
    (reserved,) = await at.handle(order)
    assert reserved == StockReserved(order_id=order.order_id, expires_at=at.clock.now() + RESERVATION)
    assert await shelf(at, bread) == (5, 2)
    assert kinds(await at.handle(confirmed(at, order.order_id))) == [StockCommitted]
    assert await shelf(at, bread) == (3, 0)
    assert ReservationExpired(order_id=order.order_id) not in await at.advance(RESERVATION)


async def test_all_lines_are_reserved_or_none(at: Desk) -> None:
    bread, milk = await stocked(at, 5), await stocked(at, 1)
    (rejected,) = await at.handle(placed(at, **{bread: 2, milk: 2}))
    assert isinstance(rejected, StockRejected)
    assert rejected.missing == (milk,)
    assert (await shelf(at, bread), await shelf(at, milk)) == ((5, 0), (1, 0))


async def test_a_cancelled_order_gives_its_stock_back_once(at: Desk) -> None:
    bread = await stocked(at, 5)
    order = placed(at, **{bread: 2})
    await at.handle(order)
    assert kinds(await at.handle(cancelled(at, order.order_id))) == [StockReleased]
    assert await at.handle(cancelled(at, order.order_id)) == []
    assert await at.handle(confirmed(at, order.order_id)) == []
    assert await shelf(at, bread) == (5, 0)


async def test_a_reservation_expires_in_time_and_not_before(at: Desk) -> None:
    bread = await stocked(at, 5)
    order = placed(at, **{bread: 5})
    await at.handle(order)
    expired = ReservationExpired(order_id=order.order_id)
    assert expired not in await at.advance(RESERVATION - timedelta(seconds=1))
    assert expired in await at.advance(timedelta(seconds=1))
    assert await at.handle(expired) == [StockReleased(order_id=order.order_id, reason="expired")]
    assert await shelf(at, bread) == (5, 0)


async def test_a_redelivered_order_is_reserved_once(at: Desk) -> None:
    bread = await stocked(at, 5)
    order, event_id = placed(at, **{bread: 2}), uuid7()
    assert kinds(await at.handle(order, event_id=event_id)) == [StockReserved]
    assert await at.handle(order, event_id=event_id) == []
    assert await shelf(at, bread) == (5, 2)


@pytest.mark.parametrize("units", [2, 4])
async def test_an_order_that_is_told_again_when_its_mark_is_gone_is_reserved_once(at: Desk, units: int) -> None:
    bread = await stocked(at, 5)
    order = placed(at, **{bread: units})
    assert kinds(await at.handle(order)) == [StockReserved]
    assert await at.handle(order) == []
    assert await shelf(at, bread) == (5, units)


async def test_many_orders_at_once_never_oversell(at: Desk) -> None:
    bread, milk = await stocked(at, 7), await stocked(at, 7)
    orders = [placed(at, **({bread: 1, milk: 1} if n % 2 else {milk: 1, bread: 1})) for n in range(20)]
    await asyncio.gather(*(at.handle(order) for order in orders))
    assert (await shelf(at, bread), await shelf(at, milk)) == ((7, 7), (7, 7))


async def test_orders_and_ends_at_the_same_time_keep_every_unit(at: Desk) -> None:
    bread, milk = await stocked(at, 12), await stocked(at, 12)
    orders = [placed(at, **{bread: 1 + n % 3, milk: 1}) for n in range(8)]
    events = [await at.handle(order) for order in orders]
    held = [order.order_id for order, told in zip(orders, events, strict=True) if kinds(told) == [StockReserved]]
    ends = [confirmed(at, one) if n % 2 else cancelled(at, one) for n, one in enumerate(held)]
    more = [placed(at, **{milk: 1, bread: 2}) for _ in range(8)]
    await asyncio.gather(*(at.handle(event) for pair in zip(ends, more, strict=False) for event in pair))
    for product in (bread, milk):
        row = await books(at, product)
        assert 0 <= row["reserved"] <= row["on_hand"]
        assert row["reserved"] == row["held"]
        assert row["supplied"] - row["on_hand"] == row["sold"]


@pytest.mark.parametrize("end", ["confirmed", "cancelled", "expired"])
async def test_a_reservation_that_ended_does_not_end_again(at: Desk, end: str) -> None:
    bread = await stocked(at, 5)
    order = placed(at, **{bread: 2})
    await at.handle(order)
    ends: dict[str, Event] = {
        "confirmed": confirmed(at, order.order_id),
        "cancelled": cancelled(at, order.order_id),
        "expired": ReservationExpired(order_id=order.order_id),
    }
    assert len(await at.handle(ends[end])) == 1
    after = await shelf(at, bread)
    for event in ends.values():
        assert await at.handle(event) == []
    assert await shelf(at, bread) == after


async def test_the_end_of_an_order_that_was_never_reserved_changes_nothing(at: Desk) -> None:
    bread = await stocked(at, 1)
    order = placed(at, **{bread: 2})
    assert kinds(await at.handle(order)) == [StockRejected]
    for event in (confirmed(at, order.order_id), cancelled(at, order.order_id), confirmed(at, uuid7())):
        assert await at.handle(event) == []
    assert await shelf(at, bread) == (1, 0)


async def test_an_unknown_product_rejects_the_order(at: Desk) -> None:
    bread = await stocked(at, 5)
    (rejected,) = await at.handle(placed(at, **{bread: 1, "nothing": 1}))
    assert isinstance(rejected, StockRejected)
    assert rejected.missing == ("nothing",)
    assert await shelf(at, bread) == (5, 0)


async def test_the_lines_of_one_product_count_together(at: Desk) -> None:
    bread = await stocked(at, 3)
    twice = placed(at, **{bread: 2})
    twice = twice.model_copy(update={"lines": twice.lines * 2})
    assert kinds(await at.handle(twice)) == [StockRejected]
    assert await shelf(at, bread) == (3, 0)


async def test_a_stocktaking_never_takes_what_is_promised(at: Desk) -> None:
    bread = await stocked(at, 5)
    store: Any = at.service.store
    await at.handle(placed(at, **{bread: 3}))
    for units, counted in ((2, None), (3, (3, 3))):
        async with store.transaction() as tx:
            found = await catalogue_of(store).count(tx, bread, units)
        assert (found and (found.on_hand, found.reserved)) == counted
    assert await shelf(at, bread) == (3, 3)


async def books(at: Desk, product: str) -> Any:
    """A product's shelf, beside what the reservations say of it."""
    store: Any = at.service.store
    if isinstance(store, Memory):
        held: Counter[str] = Counter()
        async for one in store.scan(RESERVATIONS):
            held[one["status"]] += one["lines"].get(product, 0)
        stock = await store.get(STOCK, {"product_id": product})
        return {**(stock or {}), "held": held["held"], "sold": held["committed"]}
    return await store.fetchrow(
        """
        SELECT on_hand, reserved, supplied,
            coalesce(sum((lines ->> product_id)::bigint) FILTER (WHERE status = 'held'), 0) AS held,
            coalesce(sum((lines ->> product_id)::bigint) FILTER (WHERE status = 'committed'), 0) AS sold
        FROM stock LEFT JOIN reservation ON lines ? product_id
        WHERE product_id = $1 GROUP BY product_id
        """,
        product,
    )


# Each example has products and orders of its own; the desk is only the way to them.
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(baskets=BASKETS, words=WORDS)
async def test_whatever_comes_in_whatever_order_no_unit_is_lost_or_sold_twice(
    at: Desk, baskets: list[dict[int, int]], words: list[tuple[int, str]]
) -> None:
    products = [await stocked(at, units) for units in (4, 6, 8)]
    orders = [placed(at, **{products[n]: units for n, units in basket.items()}) for basket in baskets]
    ids = [uuid7() for _ in orders]
    ended = dict.fromkeys(range(len(orders)), 0)
    for which, word in words:
        n = which % len(orders)
        order_id = orders[n].order_id
        if word == "placed":
            await at.handle(orders[n], event_id=ids[n])
        else:
            told: dict[str, Event] = {
                "confirmed": confirmed(at, order_id),
                "cancelled": cancelled(at, order_id),
                "expired": ReservationExpired(order_id=order_id),
            }
            ended[n] += sum(kind in FINISHING for kind in kinds(await at.handle(told[word])))
        for product in products:
            row = await books(at, product)
            assert 0 <= row["reserved"] <= row["on_hand"]
            assert row["reserved"] == row["held"]
            assert row["supplied"] - row["on_hand"] == row["sold"]
    assert max(ended.values()) <= 1
