"""Events in: charges and refunds; the provider is called outside of any transaction."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from contracts.orders import PaymentRequested, RefundRequested
from contracts.payments import ChargeRequested, ChargeSettled, RefundInitiated, RefundSettled
from corelib.actor import Actor, Effect, effect, receive
from corelib.documents import DocumentTransaction
from corelib.errors import Unavailable
from corelib.http_client import Answer, HttpClient
from corelib.ids import uuid7
from svc_payment.domain import Outcome, Payment
from svc_payment.settlement import ask_refund, finish_refund, settle
from svc_payment.store import Payments

_OK = 200
_DEADLINE = timedelta(seconds=10)


@dataclass(frozen=True)
class Cashier(Actor):
    """Keeps the state of each payment."""

    payments: Payments

    @receive
    async def payment_requested(self, event: PaymentRequested, tx: DocumentTransaction) -> None:
        """Record the payment and have it charged."""
        payment = Payment(event.order_id, event.user_id, uuid7(), event.amount.amount, event.amount.currency)
        self.payments.add(tx, payment)
        tx.publish(ChargeRequested(order_id=event.order_id, payment_id=payment.payment_id, amount=event.amount))

    @receive
    async def charge_settled(self, event: ChargeSettled, tx: DocumentTransaction) -> None:
        """Record the provider's answer."""
        payment = await self._payment(event.order_id, tx)
        settle(
            self.payments,
            tx,
            payment,
            Outcome(event.outcome),
            reference=event.provider_reference,
            reason=event.reason,
        )

    @receive
    async def refund_requested(self, event: RefundRequested, tx: DocumentTransaction) -> None:
        """Give the money back, now or as soon as it is ours."""
        ask_refund(self.payments, tx, await self._payment(event.order_id, tx))

    @receive
    async def refund_settled(self, event: RefundSettled, tx: DocumentTransaction) -> None:
        """Record that the money went back."""
        finish_refund(self.payments, tx, await self._payment(event.order_id, tx))

    async def _payment(self, order_id: UUID, tx: DocumentTransaction) -> Payment:
        payment = await self.payments.find(order_id, tx)
        if payment is None:
            raise LookupError(f"there is no payment for order {order_id}")
        return payment


@dataclass(frozen=True)
class Provider(Actor):
    """Calls the payment provider; the event's id makes each call safe to repeat."""

    client: HttpClient

    @effect(deadline=_DEADLINE)
    async def charge(self, event: ChargeRequested, call: Effect) -> ChargeSettled:
        """Take the money."""
        answer = await self._post(
            "/v1/charges",
            {
                "amount": event.amount.amount,
                "currency": event.amount.currency,
                "reference": str(event.order_id),
            },
            call,
        )
        charge = answer.json()
        return ChargeSettled(
            order_id=event.order_id,
            payment_id=event.payment_id,
            outcome=charge["status"],
            provider_reference=charge["id"],
            reason=charge.get("reason", ""),
        )

    @effect(deadline=_DEADLINE)
    async def refund(self, event: RefundInitiated, call: Effect) -> RefundSettled:
        """Give the money back."""
        answer = await self._post(
            "/v1/refunds",
            {
                "charge_id": event.provider_reference,
                "amount": event.amount.amount,
                "reference": str(event.order_id),
            },
            call,
        )
        return RefundSettled(
            order_id=event.order_id, payment_id=event.payment_id, provider_reference=answer.json()["id"]
        )

    async def _post(self, path: str, body: dict[str, object], call: Effect) -> Answer:
        answer = await self.client.request("POST", path, json=body, idempotency_key=call.idempotency_key)
        if answer.status == _OK:
            return answer
        if answer.status >= 500:  # noqa: PLR2004 -- HTTP's line between their fault and ours
            raise Unavailable("provider", f"{path} was answered {answer.status}")
        raise ValueError(f"the provider refused {path}: {answer.status} {answer.body[:200]!r}")
