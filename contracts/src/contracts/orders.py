"""Events of svc-order: the life of an order, keyed by the order's id."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.channels import NOTIFICATIONS, ORDERS, PAYMENTS
from contracts.money import Money
from corelib.message import Event

Quantity = Annotated[int, Field(strict=True, ge=1, le=1_000)]


class OrderLine(BaseModel):
    """A product, how many, and the unit price that svc-order took from the catalogue."""

    model_config = ConfigDict(frozen=True)

    product_id: str
    quantity: Quantity
    unit_price: Money


class OrderPlaced(Event, type="souk.order.placed.v1", channels=(ORDERS,), key="order_id"):
    """An order was accepted and waits for stock and payment."""

    order_id: UUID
    user_id: UUID
    lines: tuple[OrderLine, ...]
    total: Money
    placed_at: datetime


class OrderConfirmed(Event, type="souk.order.confirmed.v1", channels=(ORDERS, NOTIFICATIONS), key="order_id"):
    """Stock is taken and the payment captured: final."""

    order_id: UUID
    user_id: UUID
    email: str
    total: Money
    placed_at: datetime
    confirmed_at: datetime


class OrderRejected(Event, type="souk.order.rejected.v1", channels=(ORDERS,), key="order_id"):
    """Stock could not be reserved: final, nothing was charged."""

    order_id: UUID
    user_id: UUID
    reason: str
    rejected_at: datetime


class OrderCancelled(Event, type="souk.order.cancelled.v1", channels=(ORDERS,), key="order_id"):
    """The order ended without delivery: stock is released, a captured payment refunded."""

    order_id: UUID
    user_id: UUID
    reason: str
    cancelled_at: datetime


class PaymentRequested(Event, type="souk.payment.requested.v1", channels=(PAYMENTS,), key="order_id"):
    """Stock is reserved; svc-payment is to charge the user."""

    order_id: UUID
    user_id: UUID
    amount: Money


class RefundRequested(Event, type="souk.payment.refund-requested.v1", channels=(PAYMENTS,), key="order_id"):
    """An order that ended has, or may yet get, a captured payment; svc-payment is to give it back."""

    order_id: UUID
    reason: str


class OrderDeadlineReached(Event, type="souk.order.deadline-reached.v1", channels=(ORDERS,), key="order_id"):
    """A timer: the order has been pending for too long."""

    order_id: UUID
