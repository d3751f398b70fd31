"""Each rule must find the fault that it is there for."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from devstack.invariants import Entry, Order, Payment, Reservation, Snapshot, Stock, Window, findings

MINUTE = "2026-01-01T10:00:00+00:00"


def healthy() -> Snapshot:
    return Snapshot(
        orders={
            "o1": Order("confirmed", "u1", 500, "USD", {"p": 2}, MINUTE),
            "o2": Order("rejected", "u1", 900, "USD", {"p": 9}, MINUTE),
            "o3": Order("cancelled", "u2", 250, "USD", {"p": 1}, MINUTE),
        },
        payments={
            "o1": Payment("y1", "captured", "none", 500, "USD"),
            "o3": Payment("y3", "captured", "refunded", 250, "USD"),
        },
        reservations={"o1": Reservation("committed", {"p": 2}), "o3": Reservation("released", {"p": 1})},
        stock={"p": Stock(supplied=10, on_hand=8, reserved=0)},
        ledger=[
            Entry("charge", "o1", "captured", 500),
            Entry("charge", "o3", "captured", 250),
            Entry("refund", "o3", "refunded", 250),
        ],
        emails=Counter({"o1": 1}),
        notifications={"o1": "sent"},
        documents={"o1"},
        waiting={"outbox of order": 0},
        windows={MINUTE: Window(1, 1, {"USD": 500})},
    )


def test_a_healthy_shop_has_no_findings() -> None:
    assert findings(healthy()) == []


FAULTS: dict[str, Callable[[Snapshot], object]] = {
    "stuck order": lambda s: s.orders.update(o1=replace(s.orders["o1"], status="reserved")),
    "waiting outbox": lambda s: s.waiting.update({"outbox of order": 1}),
    "parked event": lambda s: s.parked.append("Fulfilment.stock_reserved o1"),
    "unpaid": lambda s: s.payments.pop("o1"),
    "paid too little": lambda s: s.payments.update(o1=replace(s.payments["o1"], amount=499)),
    "kept money": lambda s: s.payments.update(o3=replace(s.payments["o3"], refund="none")),
    "payment without order": lambda s: s.payments.update(o9=s.payments["o1"]),
    "charged twice": lambda s: s.ledger.append(Entry("charge", "o1", "captured", 500)),
    "charge unknown to us": lambda s: s.ledger.append(Entry("charge", "o2", "captured", 900)),
    "refunded twice": lambda s: s.ledger.append(Entry("refund", "o3", "refunded", 250)),
    "refund that never happened": lambda s: s.ledger.pop(),
    "stock vanished": lambda s: s.stock.update(p=Stock(10, 7, 0)),
    "oversold": lambda s: s.stock.update(p=Stock(1, -1, 0)),
    "promise left behind": lambda s: s.stock.update(p=Stock(10, 8, 1)),
    "sold without reservation": lambda s: s.reservations.pop("o1"),
    "sold but not taken": lambda s: s.reservations.update(o1=Reservation("released", {"p": 2})),
    "wrong goods taken": lambda s: s.reservations.update(o3=Reservation("released", {"p": 2})),
    "e-mail twice": lambda s: s.emails.update(["o1"]),
    "e-mail missing": lambda s: s.emails.clear(),
    "e-mail for a rejected order": lambda s: s.emails.update(["o2"]),
    "record not finished": lambda s: s.notifications.update(o1="sending"),
    "document missing": lambda s: s.documents.clear(),
    "analytics miss a minute": lambda s: s.windows.clear() if s.windows else None,
    "analytics count twice": lambda s: s.windows.update({MINUTE: Window(2, 1, {"USD": 1000})}) if s.windows else None,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str) -> None:
    snapshot = healthy()
    FAULTS[fault](snapshot)
    assert findings(snapshot), fault
