"""Reservations on real PostgreSQL, in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.money import Money
from contracts.orders import OrderCancelled, OrderConfirmed, OrderLine, OrderPlaced
from contracts.stock import ReservationExpired, StockCommitted, StockRejected, StockReleased, StockReserved
from corelib.clock import ManualClock
from corelib.ids import uuid7
from corelib.message import Event
from corelib.testing import Desk, desk
from svc_product.app import build
from svc_product.settings import ProductSettings
from svc_product.store import Catalogue, Product

PRICE = Money(amount=100, currency="USD")
RESERVATION = timedelta(minutes=15)


@pytest.fixture
async def at(surroundings: dict[str, Any]) -> AsyncIterator[Desk]:
    clock = ManualClock()
    service = build(ProductSettings(**surroundings), clock=clock)
    service.resources = [one for one in service.resources if one.name != "jwks"]
    async with desk(service, clock) as opened:
        yield opened


async def stocked(at: Desk, units: int) -> str:
    store: Any = at.service.store
    product = Product(f"p-{uuid4()}", "Bread", "", 100, "USD", active=True, version=1)
    async with store.transaction() as tx:
        await Catalogue(store).add(tx, product, units)
    return product.product_id


async def shelf(at: Desk, product: str) -> tuple[int, int]:
    store: Any = at.service.store
    found = await Catalogue(store).find(product)
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


async def test_many_orders_at_once_never_oversell(at: Desk) -> None:
    bread, milk = await stocked(at, 7), await stocked(at, 7)
    orders = [placed(at, **({bread: 1, milk: 1} if n % 2 else {milk: 1, bread: 1})) for n in range(20)]
    await asyncio.gather(*(at.handle(order) for order in orders))
    assert (await shelf(at, bread), await shelf(at, milk)) == ((7, 7), (7, 7))
