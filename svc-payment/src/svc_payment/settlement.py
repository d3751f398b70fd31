"""What follows when a payment changes: stored state and published events, for actors and webhooks alike."""

from contracts.money import Money
from contracts.payments import PaymentCaptured, PaymentFailed, PaymentRefunded, RefundInitiated
from corelib.documents import DocumentTransaction
from svc_payment.domain import Outcome, Payment, Refund, Status
from svc_payment.store import Payments


def settle(
    payments: Payments, tx: DocumentTransaction, payment: Payment, outcome: Outcome, *, reference: str, reason: str
) -> None:
    """Record the provider's answer to a charge; a second answer changes nothing."""
    after = payment.settled(outcome, provider_reference=reference, reason=reason)
    if after is None:
        return
    payments.save(tx, after)
    if after.status is Status.DECLINED:
        tx.publish(PaymentFailed(order_id=after.order_id, payment_id=after.payment_id, reason=reason or "declined"))
        return
    tx.publish(PaymentCaptured(order_id=after.order_id, payment_id=after.payment_id, amount=_money(after)))
    if after.refund is Refund.REQUESTED:
        _initiate(tx, after)


def ask_refund(payments: Payments, tx: DocumentTransaction, payment: Payment) -> Payment | None:
    """Start a refund, or note that it is wanted once the charge is settled; None where nothing changes."""
    after = payment.refund_asked()
    if after is not None:
        payments.save(tx, after)
        if after.refund is Refund.REQUESTED:
            _initiate(tx, after)
    return after


def finish_refund(payments: Payments, tx: DocumentTransaction, payment: Payment) -> None:
    """Record that the money went back; a second word of it changes nothing."""
    after = payment.refunded()
    if after is not None:
        payments.save(tx, after)
        tx.publish(PaymentRefunded(order_id=after.order_id, payment_id=after.payment_id, amount=_money(after)))


def _initiate(tx: DocumentTransaction, payment: Payment) -> None:
    tx.publish(
        RefundInitiated(
            order_id=payment.order_id,
            payment_id=payment.payment_id,
            amount=_money(payment),
            provider_reference=payment.provider_reference,
        )
    )


def _money(payment: Payment) -> Money:
    return Money(amount=payment.amount, currency=payment.currency)
