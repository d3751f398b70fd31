"""The rules of orders hold whatever happens."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc_order.documents import document
from svc_order.domain import FINAL, MAX_TOTAL, TRANSITIONS, Line, Order, Price, Status, Step, Unpriceable, price

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IDS = st.sampled_from([f"p{n}" for n in range(8)])
LINES = st.lists(st.tuples(IDS, st.integers(1, 1_000)), min_size=1, max_size=8)
PRICES = st.dictionaries(
    IDS, st.tuples(st.integers(0, 10**9), st.sampled_from(["USD", "EUR"]), st.booleans()), max_size=8
)
# Written down a second time on purpose: a change of the life has to be meant.
LIFE = {
    ("pending", "reserve"): "reserved",
    ("pending", "reject"): "rejected",
    ("pending", "cancel"): "cancelled",
    ("reserved", "confirm"): "confirmed",
    ("reserved", "cancel"): "cancelled",
}


def order(status: Status, lines: tuple[Line, ...] = (Line("p1", 1, 100),)) -> Order:
    total = sum(line.quantity * line.amount for line in lines)
    return Order(UUID(int=1), UUID(int=2), "a@example.com", status, lines, total, "USD", NOW, UUID(int=3))


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("step", Step)
def test_a_step_leads_where_the_life_says_and_nowhere_else(status: Status, step: Step) -> None:
    after = order(status).after(step, now=NOW)
    assert (after.status.value if after else None) == LIFE.get((status.value, step.value))


@given(st.lists(st.sampled_from(Step), max_size=12))
def test_an_order_follows_its_table_and_never_leaves_a_final_state(steps: list[Step]) -> None:
    current = order(Status.PENDING)
    for step in steps:
        after = current.after(step, now=NOW)
        allowed = TRANSITIONS.get((current.status, step))
        if allowed is None:
            assert after is None
            continue
        assert after is not None
        assert current.status not in FINAL
        assert (after.status, after.version) == (allowed, current.version + 1)
        assert (after.ended_at is not None) == (after.status in FINAL)
        current = after


@pytest.mark.parametrize("status", sorted(FINAL))
@pytest.mark.parametrize("step", Step)
def test_a_final_order_stays_as_it_is(status: Status, step: Step) -> None:
    assert order(status).after(step, now=NOW) is None


def test_every_state_is_reached() -> None:
    assert {Status.PENDING, *TRANSITIONS.values()} == set(Status)


def sellable(wanted: Sequence[tuple[str, int]], prices: Mapping[str, Price]) -> bool:
    chosen = [(prices[product], quantity) for product, quantity in wanted if product in prices]
    return (
        len({product for product, _ in wanted}) == len(chosen) == len(wanted)
        and all(entry.active for entry, _ in chosen)
        and len({entry.currency for entry, _ in chosen}) == 1
        and sum(entry.amount * quantity for entry, quantity in chosen) <= MAX_TOTAL
    )


@given(LINES, PRICES)
def test_a_total_is_the_sum_of_its_lines_or_the_order_is_refused(
    wanted: list[tuple[str, int]], known: dict[str, tuple[int, str, bool]]
) -> None:
    prices = {product: Price(product, *rest) for product, rest in known.items()}
    try:
        lines, total, currency = price(wanted, prices)
    except Unpriceable:
        assert not sellable(wanted, prices)
        return
    assert sellable(wanted, prices)
    assert [(line.product_id, line.quantity) for line in lines] == wanted
    assert total == sum(prices[product].amount * quantity for product, quantity in wanted) <= MAX_TOTAL
    assert {prices[product].currency for product, _ in wanted} == {currency}
    assert all(prices[product].active for product, _ in wanted)
    assert len({product for product, _ in wanted}) == len(wanted)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ([("p1", 1), ("p1", 2)], "twice"),
        ([("p9", 1)], "unknown product"),
        ([("gone", 1)], "no longer sold"),
        ([("p1", 1), ("euro", 1)], "one currency"),
        ([("dear", 1_000)], "too large"),
    ],
)
def test_what_cannot_be_priced_says_why(wanted: list[tuple[str, int]], reason: str) -> None:
    prices = {
        entry.product_id: entry
        for entry in (
            Price("p1", 100, "USD", active=True),
            Price("gone", 100, "USD", active=False),
            Price("euro", 100, "EUR", active=True),
            Price("dear", 10**10, "USD", active=True),
        )
    }
    with pytest.raises(Unpriceable, match=reason):
        price(wanted, prices)


@given(st.dictionaries(IDS, st.tuples(st.integers(1, 1_000), st.integers(0, 10**9)), min_size=1))
def test_what_is_sold_in_one_currency_is_priced_to_the_last_cent(basket: dict[str, tuple[int, int]]) -> None:
    prices = {product: Price(product, amount, "USD", active=True) for product, (_, amount) in basket.items()}
    expected = sum(quantity * amount for quantity, amount in basket.values())
    wanted = [(product, quantity) for product, (quantity, _) in basket.items()]
    if expected > MAX_TOTAL:
        with pytest.raises(Unpriceable, match="too large"):
            price(wanted, prices)
        return
    lines, total, currency = price(wanted, prices)
    assert (total, currency) == (expected, "USD")
    written = json.loads(document(order(Status.CONFIRMED, lines)))
    assert written["total"] == sum(line["amount"] for line in written["lines"]) == expected


@pytest.mark.parametrize(("amount", "fits"), [(MAX_TOTAL, True), (MAX_TOTAL + 1, False)])
def test_the_largest_total_is_allowed_and_one_more_is_not(amount: int, *, fits: bool) -> None:
    known = {"p1": Price("p1", amount, "USD", active=True)}
    if fits:
        assert price([("p1", 1)], known)[1] == MAX_TOTAL
    else:
        with pytest.raises(Unpriceable):
            price([("p1", 1)], known)
