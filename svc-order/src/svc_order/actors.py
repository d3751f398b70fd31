"""Events in: the saga of an order, the prices it needs, the document it leaves."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

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
from corelib.actor import Actor, Effect, effect, receive
from corelib.clock import Clock
from corelib.documents import DocumentTransaction
from corelib.objects import Objects
from corelib.transaction import Timer
from svc_order.documents import document
from svc_order.domain import Order, Price, Status, Step
from svc_order.store import Orders, Prices

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Fulfilment(Actor):
    """Takes an order from stock over payment to its end; late and repeated events change nothing."""

    orders: Orders
    clock: Clock

    @receive
    async def stock_reserved(self, event: StockReserved, tx: DocumentTransaction) -> None:
        """Ask for the payment."""
        order = await self._step(tx, event.order_id, Step.RESERVE)
        if order is not None:
            amount = Money(amount=order.total, currency=order.currency)
            tx.publish(PaymentRequested(order_id=order.order_id, user_id=order.user_id, amount=amount))

    @receive
    async def stock_rejected(self, event: StockRejected, tx: DocumentTransaction) -> None:
        """End the order: nothing was charged."""
        order = await self._step(tx, event.order_id, Step.REJECT, reason=event.reason)
        if order is not None:
            tx.publish(
                OrderRejected(
                    order_id=order.order_id, user_id=order.user_id, reason=order.reason, rejected_at=self.clock.now()
                )
            )

    @receive
    async def payment_captured(self, event: PaymentCaptured, tx: DocumentTransaction) -> None:
        """Confirm the order, or give the money back if it ended meanwhile."""
        order = await self._step(tx, event.order_id, Step.CONFIRM)
        if order is not None:
            tx.publish(
                OrderConfirmed(
                    order_id=order.order_id,
                    user_id=order.user_id,
                    email=order.email,
                    total=Money(amount=order.total, currency=order.currency),
                    placed_at=order.placed_at,
                    confirmed_at=self.clock.now(),
                )
            )
            return
        known = await self.orders.find(event.order_id, tx)
        if known is None or known.status is not Status.CONFIRMED:
            tx.publish(RefundRequested(order_id=event.order_id, reason="the order had ended before the payment"))

    @receive
    async def payment_failed(self, event: PaymentFailed, tx: DocumentTransaction) -> None:
        """End the order; svc-product gives the stock back."""
        await self._cancel(tx, event.order_id, event.reason, refund=False)

    @receive
    async def stock_released(self, event: StockReleased, tx: DocumentTransaction) -> None:
        """End an order whose reservation ran out before it was paid."""
        if event.reason == "expired":
            await self._cancel(tx, event.order_id, "the reservation expired", refund=True)

    @receive
    async def deadline_reached(self, event: OrderDeadlineReached, tx: DocumentTransaction) -> None:
        """End an order that waits for too long."""
        await self._cancel(tx, event.order_id, "not completed in time", refund=True)

    async def _cancel(self, tx: DocumentTransaction, order_id: UUID, reason: str, *, refund: bool) -> None:
        before = await self.orders.find(order_id, tx)
        if before is not None:
            cancel(self.orders, tx, before, self.clock, reason=reason, refund=refund)

    async def _step(self, tx: DocumentTransaction, order_id: UUID, step: Step, *, reason: str = "") -> Order | None:
        order = await self.orders.find(order_id, tx)
        after = order.after(step, now=self.clock.now(), reason=reason) if order else None
        if after is None:
            log.info("nothing to do for the order", order_id=str(order_id), step=step, status=order and order.status)
            return None
        self.orders.save(tx, after)
        if after.ended_at is not None:
            tx.cancel(Timer(after.timer_id))
        return after


def cancel(
    orders: Orders, tx: DocumentTransaction, order: Order, clock: Clock, *, reason: str, refund: bool
) -> Order | None:
    """Cancel an order; None when it is final. `refund` asks for money back where a payment was requested."""
    after = order.after(Step.CANCEL, now=clock.now(), reason=reason)
    if after is None:
        return None
    orders.save(tx, after)
    tx.cancel(Timer(after.timer_id))
    tx.publish(OrderCancelled(order_id=order.order_id, user_id=order.user_id, reason=reason, cancelled_at=clock.now()))
    if refund and order.status is Status.RESERVED:
        tx.publish(RefundRequested(order_id=order.order_id, reason=reason))
    return after


@dataclass(frozen=True)
class PriceList(Actor):
    """Keeps the newest price of every product."""

    prices: Prices

    @receive
    async def product_changed(self, event: ProductChanged, tx: DocumentTransaction) -> None:
        """Store the price unless a newer one is known."""
        known = await self.prices.version(event.product_id)
        if event.version > known:
            price = Price(event.product_id, event.price.amount, event.price.currency, event.active)
            self.prices.store(tx, price, version=event.version, known=known)


@dataclass(frozen=True)
class Documents(Actor):
    """Writes the document of a confirmed order; writing it again changes nothing."""

    orders: Orders
    bucket: Objects

    @effect(deadline=timedelta(seconds=10))
    async def order_confirmed(self, event: OrderConfirmed, call: Effect) -> None:  # noqa: ARG002 -- the key of the object is idempotent already
        """Store the order document."""
        order = await self.orders.find(event.order_id)
        if order is None:
            raise LookupError(f"order {event.order_id} is confirmed, but not stored")
        await self.bucket.put(f"orders/{order.order_id}.json", document(order), content_type="application/json")
