"""Events of svc-payment, keyed by order: one payment per order, at most one refund of it."""

from typing import Literal
from uuid import UUID

from contracts.channels import PAYMENTS
from contracts.money import Money
from corelib.message import Event


class ChargeRequested(Event, type="souk.payment.charge-requested.v1", channels=(PAYMENTS,), key="order_id"):
    """The payment is recorded; the provider is to be called with this event's id as idempotency key."""

    order_id: UUID
    payment_id: UUID
    amount: Money


class ChargeSettled(Event, type="souk.payment.charge-settled.v1", channels=(PAYMENTS,), key="order_id"):
    """What the provider answered to a charge."""

    order_id: UUID
    payment_id: UUID
    outcome: Literal["captured", "declined"]
    provider_reference: str
    reason: str = ""


class PaymentCaptured(Event, type="souk.payment.captured.v1", channels=(PAYMENTS,), key="order_id"):
    """The money is ours."""

    order_id: UUID
    payment_id: UUID
    amount: Money


class PaymentFailed(Event, type="souk.payment.failed.v1", channels=(PAYMENTS,), key="order_id"):
    """The provider declined: final, nothing was taken."""

    order_id: UUID
    payment_id: UUID
    reason: str


class RefundInitiated(Event, type="souk.payment.refund-initiated.v1", channels=(PAYMENTS,), key="order_id"):
    """A refund is recorded; the provider is to be called with this event's id as idempotency key."""

    order_id: UUID
    payment_id: UUID
    amount: Money
    provider_reference: str


class RefundSettled(Event, type="souk.payment.refund-settled.v1", channels=(PAYMENTS,), key="order_id"):
    """The provider gave the money back."""

    order_id: UUID
    payment_id: UUID
    provider_reference: str


class PaymentRefunded(Event, type="souk.payment.refunded.v1", channels=(PAYMENTS,), key="order_id"):
    """The user has the money back: final."""

    order_id: UUID
    payment_id: UUID
    amount: Money
