"""The rules of orders: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

MAX_LINES = 100
MAX_TOTAL = 10**12


class Status(StrEnum):
    """An order's life; the last three are final."""

    PENDING = "pending"
    RESERVED = "reserved"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class Step(StrEnum):
    """What may happen to an order."""

    RESERVE = "reserve"
    REJECT = "reject"
    CONFIRM = "confirm"
    CANCEL = "cancel"


# The whole life: what is not in the table changes nothing.
TRANSITIONS: Mapping[tuple[Status, Step], Status] = {
    (Status.PENDING, Step.RESERVE): Status.RESERVED,
    (Status.PENDING, Step.REJECT): Status.REJECTED,
    (Status.PENDING, Step.CANCEL): Status.CANCELLED,
    (Status.RESERVED, Step.CONFIRM): Status.CONFIRMED,
    (Status.RESERVED, Step.CANCEL): Status.CANCELLED,
}
FINAL = frozenset({Status.CONFIRMED, Status.REJECTED, Status.CANCELLED})


@dataclass(frozen=True)
class Price:
    """What svc-order knows of a product; `amount` in minor units."""

    product_id: str
    amount: int
    currency: str
    active: bool


@dataclass(frozen=True)
class Line:
    """A priced line."""

    product_id: str
    quantity: int
    amount: int


@dataclass(frozen=True)
class Order:
    """An order; `version` counts its stored states, `timer_id` is the deadline's."""

    order_id: UUID
    user_id: UUID
    email: str
    status: Status
    lines: tuple[Line, ...]
    total: int
    currency: str
    placed_at: datetime
    timer_id: UUID
    version: int = 1
    reason: str = ""
    ended_at: datetime | None = None

    def after(self, step: Step, *, now: datetime, reason: str = "") -> "Order | None":
        """Return the order after a step, or None when the step changes nothing any more."""
        status = TRANSITIONS.get((self.status, step))
        if status is None:
            return None
        ended = now if status in FINAL else None
        return replace(self, status=status, reason=reason, ended_at=ended, version=self.version + 1)


class Unpriceable(ValueError):
    """Raised when an order cannot be priced; `products` are in the way."""

    def __init__(self, reason: str, products: Sequence[str]) -> None:
        super().__init__(f"{reason}: {', '.join(products[:10])}")
        self.reason = reason
        self.products = tuple(products)


def price(wanted: Sequence[tuple[str, int]], prices: Mapping[str, Price]) -> tuple[tuple[Line, ...], int, str]:
    """Return priced lines, their total and its currency. Raises `Unpriceable`."""
    ids = [product for product, _ in wanted]
    _refuse("a product stands in the order twice", sorted({product for product in ids if ids.count(product) > 1}))
    _refuse("unknown product", [product for product in ids if product not in prices])
    _refuse("no longer sold", [product for product in ids if not prices[product].active])
    currencies = {prices[product].currency for product in ids}
    if len(currencies) > 1:
        raise Unpriceable("an order has one currency, these have several", ids)
    lines = tuple(Line(product, quantity, prices[product].amount) for product, quantity in wanted)
    total = sum(line.quantity * line.amount for line in lines)
    if total > MAX_TOTAL:
        raise Unpriceable("the order's total is too large", ids)
    return lines, total, currencies.pop()


def _refuse(reason: str, products: Sequence[str]) -> None:
    if products:
        raise Unpriceable(reason, products)
