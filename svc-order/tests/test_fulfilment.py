"""The saga as svc-order sees it, on the real store and in memory, in virtual time."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
from corelib.testing.desk import Desk, desk
from svc_order.app import build
from svc_order.domain import FINAL, Line, Order, Status
from svc_order.settings import OrderSettings
from svc_order.store import Orders

DEADLINE = timedelta(minutes=10)
ENDS = (OrderConfirmed, OrderRejected, OrderCancelled)
WORDS = ("reserved", "rejected", "captured", "failed", "expired", "released", "deadline")


@pytest.fixture
async def at(either: dict[str, Any]) -> AsyncIterator[Desk]:
    clock = ManualClock()
    service = build(OrderSettings(**either), clock=clock)
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


def told(word: str, order: Order, at: Desk) -> Event:
    order_id = order.order_id
    events: dict[str, Event] = {
        "reserved": reserved(order, at),
        "rejected": StockRejected(order_id=order_id, reason="not in stock: p", missing=("p",)),
        "captured": captured(order),
        "failed": PaymentFailed(order_id=order_id, payment_id=uuid4(), reason="declined"),
        "expired": StockReleased(order_id=order_id, reason="expired"),
        "released": StockReleased(order_id=order_id, reason="cancelled"),
        "deadline": OrderDeadlineReached(order_id=order_id),
    }
    return events[word]


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


# Each example has an order of its own; the desk is only the way to it.
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.booleans()), max_size=8))
async def test_whatever_comes_in_whatever_order_an_order_ends_once_and_no_money_stays(
    at: Desk, words: list[tuple[str, bool]]
) -> None:
    order = await placed(at)
    published, money = Counter[type[Event]](), 0
    for word, again in words:
        before = await status(at, order.order_id)
        event, event_id = told(word, order, at), uuid7()
        events = await at.handle(event, event_id=event_id)
        if again:
            assert await at.handle(event, event_id=event_id) == []
        after = await status(at, order.order_id)
        assert after is before or before not in FINAL
        published.update(kinds(events))
        if word == "released":
            assert (events, after) == ([], before)
        if word == "captured" and after is not Status.CONFIRMED:
            assert kinds(events) == [RefundRequested]
        money += word == "captured"
    ended = sum(published[kind] for kind in ENDS)
    assert ended == ((await status(at, order.order_id)) in FINAL)
    assert published[PaymentRequested] <= 1
    if published[OrderConfirmed]:
        assert published[PaymentRequested] == 1
        assert money
    is_due = OrderDeadlineReached(order_id=order.order_id) in await at.advance(DEADLINE)
    assert is_due == (not ended)


async def test_a_late_word_about_stock_does_not_wake_a_cancelled_order(at: Desk) -> None:
    order = await placed(at)
    await at.handle(OrderDeadlineReached(order_id=order.order_id))
    for word in ("reserved", "rejected", "released", "expired", "failed", "deadline"):
        assert await at.handle(told(word, order, at)) == [], word
    assert await status(at, order.order_id) is Status.CANCELLED


async def test_stock_that_was_given_back_for_another_reason_ends_no_order(at: Desk) -> None:
    order = await placed(at)
    assert await at.handle(told("released", order, at)) == []
    assert await status(at, order.order_id) is Status.PENDING


async def test_a_second_word_of_the_capture_asks_for_no_refund(at: Desk) -> None:
    order = await placed(at)
    await at.handle(reserved(order, at))
    await at.handle(captured(order))
    assert await at.handle(captured(order)) == []
    assert await status(at, order.order_id) is Status.CONFIRMED


async def test_money_for_an_order_nobody_knows_is_given_back(at: Desk) -> None:
    unknown = uuid7()
    event = PaymentCaptured(order_id=unknown, payment_id=uuid4(), amount=Money(amount=1, currency="USD"))
    (refund,) = await at.handle(event)
    assert isinstance(refund, RefundRequested)
    assert refund.order_id == unknown


async def test_the_document_has_every_line_and_is_written_again_alike(at: Desk) -> None:
    order = await placed(at)
    await at.handle(reserved(order, at))
    (confirmed,) = await at.handle(captured(order))
    bucket: Any = at.service.resources[0]
    written = set()
    for _ in range(2):
        await at.handle(confirmed)
        written.add(await bucket.get(f"orders/{order.order_id}.json"))
    (once,) = written
    content = json.loads(once)
    assert content["lines"] == [{"product_id": "p", "quantity": 2, "unit_amount": 50, "amount": 100}]
    assert (content["total"], content["currency"], content["user_id"]) == (100, "USD", str(order.user_id))


async def test_a_confirmation_without_an_order_is_an_error_and_no_document(at: Desk) -> None:
    now, unknown = at.clock.now(), uuid7()
    event = OrderConfirmed(
        order_id=unknown,
        user_id=uuid4(),
        email="a@example.com",
        total=Money(amount=1, currency="USD"),
        placed_at=now,
        confirmed_at=now,
    )
    with pytest.raises(LookupError):
        await at.handle(event)
    bucket: Any = at.service.resources[0]
    assert await bucket.get(f"orders/{unknown}.json") is None


async def test_the_newest_price_stays_in_whatever_order_they_come(at: Desk) -> None:
    product = f"p-{uuid4()}"
    store: Any = at.service.store
    for version in (3, 1, 6, 2, 3, 5, 6, 4, 1):
        price = Money(amount=version * 100, currency="USD")
        is_active = version != 6
        await at.handle(ProductChanged(product_id=product, name="p", price=price, active=is_active, version=version))
    item = await store.get("order-prices", {"product_id": product})
    assert item is not None
    assert (item["amount"], item["version"], item["active"]) == (600, 6, False)


async def test_an_older_price_does_not_replace_a_newer_one(at: Desk) -> None:
    product = f"p-{uuid4()}"
    for version, amount in ((2, 200), (1, 100)):
        price = Money(amount=amount, currency="USD")
        changed = ProductChanged(product_id=product, name="p", price=price, active=True, version=version)
        await at.handle(changed)
    store: Any = at.service.store
    item = await store.get("order-prices", {"product_id": product})
    assert (item["amount"], item["version"]) == (200, 2)
