"""Payments over HTTP: show, refund, and the provider's webhooks."""

from typing import Annotated, Literal
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from contracts.money import Money
from corelib.api import Api, get, post, validated
from corelib.auth import Caller
from corelib.clock import Clock
from corelib.documents import DocumentTransaction
from corelib.errors import Problem
from svc_payment.domain import Outcome, Payment, Refund, Status
from svc_payment.settlement import ask_refund, finish_refund, settle
from svc_payment.store import Payments
from svc_payment.webhooks import HEADER, is_signed


class PaymentView(BaseModel):
    """A payment as its owner sees it."""

    payment_id: UUID
    order_id: UUID
    amount: Money
    status: Status
    refund: Refund
    reason: str


class Webhook(BaseModel):
    """What the provider tells; it may tell it twice, late and in any order."""

    model_config = ConfigDict(extra="ignore")

    id: Annotated[str, Field(min_length=1, max_length=100)]
    type: Literal["charge.captured", "charge.declined", "refund.settled"]
    charge_id: str
    reference: UUID
    reason: str = ""


class PaymentsApi(Api):
    """The resource /api/v1/payments."""

    def __init__(self, payments: Payments, clock: Clock, *, secret: str, tolerance_seconds: int) -> None:
        self._payments = payments
        self._clock = clock
        self._secret = secret
        self._tolerance = tolerance_seconds

    @get("/api/v1/payments/{order_id}")
    async def show(self, order_id: UUID, caller: Caller) -> PaymentView:
        """Show the payment of one of one's own orders."""
        payment = await self._payments.find(order_id)
        if payment is None or (payment.user_id != caller.user_id and "admin" not in caller.roles):
            raise Problem(404, "payment-not-found", f"You have no payment for an order {order_id}.")
        return _view(payment)

    @post("/api/v1/payments/{order_id}/refund", status=202, roles=("admin",))
    async def refund(self, order_id: UUID, tx: DocumentTransaction) -> PaymentView:
        """Give the money of an order back."""
        payment = await self._payments.find(order_id)
        if payment is None:
            raise Problem(404, "payment-not-found", f"There is no payment for an order {order_id}.")
        after = ask_refund(self._payments, tx, payment)
        if after is None:
            raise Problem(409, "nothing-to-refund", f"The payment is {payment.status}, its refund {payment.refund}.")
        return _view(after)

    @post("/api/v1/payments/webhooks", status=204)
    async def webhook(self, request: web.Request, tx: DocumentTransaction) -> None:
        """Take a signed message of the provider."""
        body = await request.read()
        now = int(self._clock.now().timestamp())
        header = request.headers.get(HEADER, "")
        if not is_signed(self._secret, body, header, now=now, tolerance_seconds=self._tolerance):
            raise Problem(401, "bad-signature", f"{HEADER} is missing, wrong or too old.")
        message: Webhook = validated(Webhook.model_validate_json, body)
        payment = await self._payments.find(message.reference)
        if payment is None:
            raise Problem(404, "payment-not-found", f"There is no payment for an order {message.reference}.")
        if message.type == "refund.settled":
            finish_refund(self._payments, tx, payment)
            return
        outcome = Outcome(message.type.removeprefix("charge."))
        settle(self._payments, tx, payment, outcome, reference=message.charge_id, reason=message.reason)


def _view(payment: Payment) -> PaymentView:
    return PaymentView(
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        amount=Money(amount=payment.amount, currency=payment.currency),
        status=payment.status,
        refund=payment.refund,
        reason=payment.reason,
    )
