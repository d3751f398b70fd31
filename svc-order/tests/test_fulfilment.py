"""The saga as svc-order sees it, on the real store, in virtual time."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.money import Money
from contracts.orders import (
    OrderCancelled,
    OrderConfirmed,
    OrderDeadlineReached,
    OrderRejected,
    PaymentRequested,
    RefundRequested,
)
from contracts.payments import PaymentCaptured, PaymentFailed
from contracts.stock import ProductChanged, StockRejected, StockReleased, StockReserved
from corelib.clock import ManualClock
from corelib.ids import uuid7
from corelib.message import Event
from corelib.testing import Desk, desk
from svc_order.app import build
from svc_order.domain import Line, Order, Status
from svc_order.settings import OrderSettings
from svc_order.store import Orders

DEADLINE = timedelta(minutes=10)


@pytest.fixture
async def at(surroundings: dict[str, Any]) -> AsyncIterator[Desk]:
    clock = ManualClock()
    service = build(OrderSettings(**surroundings), clock=clock)
    service.resources = [one for one in service.resources if one.name != "jwks"]
    async with desk(service, clock) as opened:
        yield opened


async def placed(at: Desk) -> Order:
    store: Any = at.service.store
    order_id, now, lines = uuid7(), at.clock.now(), (Line("p", 2, 50),)
    async with store.transaction() as tx:
        timer = tx.schedule(OrderDeadlineReached(order_id=order_id), at=now + DEADLINE)
        order = Order(order_id, uuid4(), "ann@example.com", Status.PENDING, lines, 100, "USD", now, timer.id)
        Orders(store).add(tx, order)
    return order


async def status(at: Desk, order_id: UUID) -> Status:
    store: Any = at.service.store
    found = await Orders(store).find(order_id)
    assert found is not None
    return found.status


def reserved(order: Order, at: Desk) -> StockReserved:
    return StockReserved(order_id=order.order_id, expires_at=at.clock.now() + timedelta(minutes=15))


def captured(order: Order) -> PaymentCaptured:
    return PaymentCaptured(
        order_id=order.order_id, payment_id=uuid4(), amount=Money(amount=order.total, currency=order.currency)
    )


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


async def test_a_reserved_and_paid_order_is_confirmed_with_its_document(at: Desk) -> None:
    order = await placed(at)
    (request,) = await at.handle(reserved(order, at))
    assert request == PaymentRequested(
        order_id=order.order_id, user_id=order.user_id, amount=Money(amount=100, currency="USD")
    )
    (confirmed,) = await at.handle(captured(order))
    assert isinstance(confirmed, OrderConfirmed)
    assert (confirmed.email, confirmed.total.amount) == ("ann@example.com", 100)
    assert await at.handle(confirmed) == []
    bucket: Any = at.service.resources[0]
    assert str(order.order_id).encode() in (await bucket.get(f"orders/{order.order_id}.json") or b"")
    # The deadline was cancelled with the confirmation.
    assert OrderDeadlineReached(order_id=order.order_id) not in await at.advance(DEADLINE)


async def test_a_redelivered_event_changes_nothing(at: Desk) -> None:
    order = await placed(at)
    event, event_id = reserved(order, at), uuid7()
    assert kinds(await at.handle(event, event_id=event_id)) == [PaymentRequested]
    assert await at.handle(event, event_id=event_id) == []
    assert await at.handle(event) == []  # nor does a second word of the same


async def test_an_order_without_stock_is_rejected(at: Desk) -> None:
    order = await placed(at)
    rejected = StockRejected(order_id=order.order_id, reason="not in stock: p", missing=("p",))
    (event,) = await at.handle(rejected)
    assert isinstance(event, OrderRejected)
    assert await status(at, order.order_id) is Status.REJECTED


async def test_a_declined_payment_cancels_without_a_refund(at: Desk) -> None:
    order = await placed(at)
    await at.handle(reserved(order, at))
    failed = PaymentFailed(order_id=order.order_id, payment_id=uuid4(), reason="declined")
    assert kinds(await at.handle(failed)) == [OrderCancelled]
    assert await status(at, order.order_id) is Status.CANCELLED


@pytest.mark.parametrize("is_reserved", [False, True])
async def test_the_deadline_cancels_and_asks_for_the_money_back_where_it_was_requested(
    at: Desk, *, is_reserved: bool
) -> None:
    order = await placed(at)
    if is_reserved:
        await at.handle(reserved(order, at))
    due = OrderDeadlineReached(order_id=order.order_id)
    assert due not in await at.advance(DEADLINE - timedelta(seconds=1))
    assert due in await at.advance(timedelta(seconds=1))
    expected = {OrderCancelled, RefundRequested} if is_reserved else {OrderCancelled}
    assert set(kinds(await at.handle(due))) == expected


async def test_money_that_comes_after_the_end_is_given_back(at: Desk) -> None:
    order = await placed(at)
    await at.handle(reserved(order, at))
    await at.handle(StockReleased(order_id=order.order_id, reason="expired"))
    assert await status(at, order.order_id) is Status.CANCELLED
    assert kinds(await at.handle(captured(order))) == [RefundRequested]


async def test_an_older_price_does_not_replace_a_newer_one(at: Desk) -> None:
    product = f"p-{uuid4()}"
    for version, amount in ((2, 200), (1, 100)):
        price = Money(amount=amount, currency="USD")
        changed = ProductChanged(product_id=product, name="p", price=price, active=True, version=version)
        await at.handle(changed)
    store: Any = at.service.store
    item = await store.get("order-prices", {"product_id": product})
    assert (item["amount"], item["version"]) == (200, 2)
