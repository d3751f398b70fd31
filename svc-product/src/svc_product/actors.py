"""Events in: reserves stock for orders, lets it leave or gives it back."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from contracts.orders import OrderCancelled, OrderConfirmed, OrderPlaced
from contracts.stock import ReservationExpired, StockCommitted, StockRejected, StockReleased, StockReserved
from corelib.actor import Actor, receive
from corelib.clock import Clock
from corelib.transaction import Timer, Transaction
from svc_product.domain import State, Step, after, missing
from svc_product.store import Stock

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Warehouse(Actor):
    """Keeps the promise that what is sold is there: all lines of an order are reserved, or none."""

    stock: Stock
    clock: Clock
    reservation_time: timedelta

    @receive
    async def order_placed(self, event: OrderPlaced, tx: Transaction) -> None:
        """Reserve all lines, with expiry, or reject the order."""
        if await self.stock.reservation(tx, event.order_id) is not None:
            # A replay may come when the inbox has forgotten the event.
            log.info("reserved before", order_id=str(event.order_id))
            return
        lines = Counter[str]()
        for line in event.lines:
            lines[line.product_id] += line.quantity
        shelves = await self.stock.lock(tx, list(lines))
        lacking = missing(lines, shelves)
        if lacking:
            reason = f"not in stock: {', '.join(lacking[:5])}"
            tx.publish(StockRejected(order_id=event.order_id, reason=reason, missing=tuple(lacking)))
            return
        expires = self.clock.now() + self.reservation_time
        timer = tx.schedule(ReservationExpired(order_id=event.order_id), at=expires)
        await self.stock.hold(tx, event.order_id, lines, expires=expires, timer_id=timer.id)
        tx.publish(StockReserved(order_id=event.order_id, expires_at=expires))

    @receive
    async def order_confirmed(self, event: OrderConfirmed, tx: Transaction) -> None:
        """Let the goods leave."""
        if await self._finish(tx, event.order_id, Step.CONFIRM) is State.COMMITTED:
            tx.publish(StockCommitted(order_id=event.order_id))

    @receive
    async def order_cancelled(self, event: OrderCancelled, tx: Transaction) -> None:
        """Give the goods back."""
        if await self._finish(tx, event.order_id, Step.CANCEL) is State.RELEASED:
            tx.publish(StockReleased(order_id=event.order_id, reason="cancelled"))

    @receive
    async def reservation_expired(self, event: ReservationExpired, tx: Transaction) -> None:
        """Give the goods back: nobody paid in time."""
        if await self._finish(tx, event.order_id, Step.EXPIRE) is State.RELEASED:
            tx.publish(StockReleased(order_id=event.order_id, reason="expired"))

    async def _finish(self, tx: Transaction, order_id: UUID, step: Step) -> State | None:
        reservation = await self.stock.reservation(tx, order_id)
        state = after(reservation.state, step) if reservation else None
        if reservation is None or state is None:
            log.info("nothing to do for the reservation", order_id=str(order_id), step=step)
            return None
        await self.stock.finish(tx, reservation, state)
        tx.cancel(Timer(reservation.timer_id))
        return state
