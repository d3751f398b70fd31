"""Events of svc-product: catalogue entries keyed by product, reservations keyed by order."""

from datetime import datetime
from uuid import UUID

from contracts.channels import PRODUCTS, STOCK
from contracts.money import Money
from corelib.message import Event


class ProductChanged(Event, type="souk.product.changed.v1", channels=(PRODUCTS,), key="product_id"):
    """The whole public state of a product; the topic is compacted, so the last one is the truth."""

    product_id: str
    name: str
    price: Money
    active: bool
    version: int


class StockReserved(Event, type="souk.stock.reserved.v1", channels=(STOCK,), key="order_id"):
    """All lines of an order are reserved until `expires_at`."""

    order_id: UUID
    expires_at: datetime


class StockRejected(Event, type="souk.stock.rejected.v1", channels=(STOCK,), key="order_id"):
    """Not all lines could be reserved, so none was."""

    order_id: UUID
    reason: str
    missing: tuple[str, ...]


class StockCommitted(Event, type="souk.stock.committed.v1", channels=(STOCK,), key="order_id"):
    """The reserved goods left the stock: final."""

    order_id: UUID


class StockReleased(Event, type="souk.stock.released.v1", channels=(STOCK,), key="order_id"):
    """The reservation ended without a sale and the goods are back: final."""

    order_id: UUID
    reason: str


class ReservationExpired(Event, type="souk.stock.reservation-expired.v1", channels=(STOCK,), key="order_id"):
    """A timer: the reservation's time is over."""

    order_id: UUID
