"""What must hold across all stores when the shop is at rest: pure rules over a snapshot, one function a rule.

Each rule yields findings in words; no findings is the release gate.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

FINAL_ORDERS = frozenset({"confirmed", "rejected", "cancelled"})


@dataclass(frozen=True)
class Order:
    """An order as svc-order stored it; `total` in minor units."""

    status: str
    user_id: str
    total: int
    currency: str
    lines: Mapping[str, int]
    minute: str


@dataclass(frozen=True)
class Payment:
    """A payment as svc-payment stored it."""

    payment_id: str
    status: str
    refund: str
    amount: int
    currency: str


@dataclass(frozen=True)
class Reservation:
    """A reservation as svc-product stored it."""

    status: str
    lines: Mapping[str, int]


@dataclass(frozen=True)
class Stock:
    """A product's shelf: what was ever put there, what is there, and what of it is promised."""

    supplied: int
    on_hand: int
    reserved: int


@dataclass(frozen=True)
class Entry:
    """A line of the provider's ledger; `reference` is our order's id."""

    kind: Literal["charge", "refund"]
    reference: str
    status: str
    amount: int


@dataclass(frozen=True)
class Window:
    """A minute of the analytics."""

    orders: int
    users: int
    revenue: Mapping[str, int]


@dataclass
class Snapshot:
    """All stores at one moment. `windows` is None when analytics do not run."""

    orders: dict[str, Order] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    stock: dict[str, Stock] = field(default_factory=dict)
    ledger: list[Entry] = field(default_factory=list)
    emails: Counter[str] = field(default_factory=Counter)
    notifications: dict[str, str] = field(default_factory=dict)
    documents: set[str] = field(default_factory=set)
    waiting: dict[str, int] = field(default_factory=dict)
    parked: list[str] = field(default_factory=list)
    windows: dict[str, Window] | None = None


def findings(snapshot: Snapshot) -> list[str]:
    """Return everything that does not agree, in words."""
    return [finding for rule in RULES for finding in rule(snapshot)]


def nothing_waits(snapshot: Snapshot) -> Iterator[str]:
    """Every order is final, every outbox and queue is drained, nothing is parked."""
    for order_id, order in snapshot.orders.items():
        if order.status not in FINAL_ORDERS:
            yield f"order {order_id} is stuck in {order.status}"
    for place, count in snapshot.waiting.items():
        if count:
            yield f"{count} records wait in {place}"
    for parked in snapshot.parked:
        yield f"parked: {parked}"


def money_is_conserved(snapshot: Snapshot) -> Iterator[str]:
    """Confirmed orders are paid exactly; all others cost nothing."""
    for order_id, order in snapshot.orders.items():
        payment = snapshot.payments.get(order_id)
        if order.status == "confirmed":
            if payment is None:
                yield f"order {order_id} is confirmed without a payment"
            elif payment.status != "captured" or payment.refund != "none":
                yield f"order {order_id} is confirmed, its payment {payment.status}, refund {payment.refund}"
            elif (payment.amount, payment.currency) != (order.total, order.currency):
                yield f"order {order_id} costs {order.total} {order.currency}, paid were {payment.amount}"
        elif payment is not None and payment.status == "captured" and payment.refund != "refunded":
            yield f"order {order_id} is {order.status}, but its payment was kept (refund {payment.refund})"
    for order_id in snapshot.payments.keys() - snapshot.orders.keys():
        yield f"there is a payment for an unknown order {order_id}"


def provider_agrees(snapshot: Snapshot) -> Iterator[str]:
    """The provider's ledger says what our payments say, to the cent, each charge once."""
    charged, refunded = Counter[str](), Counter[str]()
    charges = Counter[str]()
    for entry in snapshot.ledger:
        if entry.kind == "refund":
            refunded[entry.reference] += entry.amount
        elif entry.status == "captured":
            charged[entry.reference] += entry.amount
            charges[entry.reference] += 1
    for order_id in charged.keys() | snapshot.payments.keys():
        payment = snapshot.payments.get(order_id)
        captured = payment.amount if payment and payment.status == "captured" else 0
        given_back = payment.amount if payment and payment.refund == "refunded" else 0
        if charged[order_id] != captured or charges[order_id] > 1:
            yield f"order {order_id}: the provider took {charged[order_id]} in {charges[order_id]}, we say {captured}"
        if refunded[order_id] != given_back:
            yield f"order {order_id}: the provider gave back {refunded[order_id]}, we say {given_back}"


def stock_is_conserved(snapshot: Snapshot) -> Iterator[str]:
    """What left the shelves is what was sold, and nothing stays promised."""
    sold = Counter[str]()
    for order_id, reservation in snapshot.reservations.items():
        order = snapshot.orders.get(order_id)
        if reservation.status == "committed":
            sold.update(dict(reservation.lines))
        if (order is not None and order.status == "confirmed") != (reservation.status == "committed"):
            yield f"order {order_id} is {order and order.status}, its reservation {reservation.status}"
        if order is not None and reservation.lines and dict(reservation.lines) != dict(order.lines):
            yield f"order {order_id} and its reservation differ in their lines"
    for order_id, order in snapshot.orders.items():
        if order.status == "confirmed" and order_id not in snapshot.reservations:
            yield f"order {order_id} is confirmed without a reservation"
    for product_id, shelf in snapshot.stock.items():
        if shelf.reserved:
            yield f"product {product_id}: {shelf.reserved} still reserved"
        if shelf.on_hand < 0 or shelf.on_hand + sold[product_id] != shelf.supplied:
            yield f"product {product_id}: {shelf.supplied} supplied, {sold[product_id]} sold, {shelf.on_hand} on hand"


def buyers_are_told_once(snapshot: Snapshot) -> Iterator[str]:
    """One notification, one e-mail and one document for each confirmed order, and for no other."""
    confirmed = {order_id for order_id, order in snapshot.orders.items() if order.status == "confirmed"}
    for order_id in confirmed:
        if snapshot.emails[order_id] != 1:
            yield f"order {order_id} is confirmed, e-mails sent: {snapshot.emails[order_id]}"
        if snapshot.notifications.get(order_id) != "sent":
            yield f"order {order_id} is confirmed, its notification is {snapshot.notifications.get(order_id)}"
        if order_id not in snapshot.documents:
            yield f"order {order_id} is confirmed without a document"
    for order_id in (snapshot.emails.keys() | snapshot.documents) - confirmed:
        yield f"order {order_id} is not confirmed, but there is an e-mail or a document"


def analytics_agree(snapshot: Snapshot) -> Iterator[str]:
    """Each minute of the analytics equals what the confirmed orders of that minute say."""
    if snapshot.windows is None:
        return
    expected = expected_windows(snapshot.orders)
    for minute in sorted(expected.keys() | snapshot.windows.keys()):
        if expected.get(minute) != snapshot.windows.get(minute):
            yield f"minute {minute}: orders say {expected.get(minute)}, analytics {snapshot.windows.get(minute)}"


def expected_windows(orders: Mapping[str, Order]) -> dict[str, Window]:
    """Return the analytics as the confirmed orders imply them."""
    by_minute: dict[str, list[Order]] = {}
    for order in orders.values():
        if order.status == "confirmed":
            by_minute.setdefault(order.minute, []).append(order)
    expected = {}
    for minute, confirmed in by_minute.items():
        revenue = Counter[str]()
        for order in confirmed:
            revenue[order.currency] += order.total
        expected[minute] = Window(len(confirmed), len({order.user_id for order in confirmed}), dict(revenue))
    return expected


RULES = (
    nothing_waits,
    money_is_conserved,
    provider_agrees,
    stock_is_conserved,
    buyers_are_told_once,
    analytics_agree,
)
