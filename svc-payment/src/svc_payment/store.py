"""Payments as documents, in DynamoDB or in memory: table `payments` (order_id)."""

from typing import Any
from uuid import UUID

from corelib.documents import DocumentStore, DocumentTransaction, Item, Table
from svc_payment.domain import Payment, Refund, Status

PAYMENTS = Table("payments", key="order_id")


class Payments:
    """Stores each payment as one item, guarded by its version."""

    def __init__(self, db: DocumentStore) -> None:
        self._db = db

    async def find(self, order_id: UUID, tx: DocumentTransaction | None = None) -> Payment | None:
        """Return the payment of an order; given a transaction, one that is still so when it commits."""
        key = {"order_id": str(order_id)}
        item = await (tx.get(PAYMENTS, key) if tx else self._db.get(PAYMENTS, key))
        return _payment(item) if item else None

    def add(self, tx: DocumentTransaction, payment: Payment) -> None:
        """Store a new payment."""
        tx.put(PAYMENTS, _item(payment), new=True)

    def save(self, tx: DocumentTransaction, payment: Payment) -> None:
        """Store the next state of a payment; `Conflict` at commit if another came first."""
        tx.put(PAYMENTS, _item(payment), version=payment.version - 1)


def _item(payment: Payment) -> Item:
    item: dict[str, Any] = {
        "order_id": str(payment.order_id),
        "user_id": str(payment.user_id),
        "payment_id": str(payment.payment_id),
        "amount": payment.amount,
        "currency": payment.currency,
        "status": payment.status.value,
        "refund": payment.refund.value,
        "provider_reference": payment.provider_reference,
        "reason": payment.reason,
        "version": payment.version,
    }
    return item


def _payment(item: Item) -> Payment:
    return Payment(
        order_id=UUID(item["order_id"]),
        user_id=UUID(item["user_id"]),
        payment_id=UUID(item["payment_id"]),
        amount=item["amount"],
        currency=item["currency"],
        status=Status(item["status"]),
        refund=Refund(item["refund"]),
        provider_reference=item["provider_reference"],
        reason=item["reason"],
        version=item["version"],
    )
