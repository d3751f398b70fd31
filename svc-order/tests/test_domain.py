"""The rules of orders hold whatever happens."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc_order.domain import FINAL, MAX_TOTAL, TRANSITIONS, Line, Order, Price, Status, Step, Unpriceable, price

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IDS = st.sampled_from([f"p{n}" for n in range(8)])
LINES = st.lists(st.tuples(IDS, st.integers(1, 1_000)), min_size=1, max_size=8)
PRICES = st.dictionaries(
    IDS, st.tuples(st.integers(0, 10**9), st.sampled_from(["USD", "EUR"]), st.booleans()), max_size=8
)


def order(status: Status) -> Order:
    line = Line("p1", 1, 100)
    return Order(UUID(int=1), UUID(int=2), "a@example.com", status, (line,), 100, "USD", NOW, UUID(int=3))


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


@pytest.mark.parametrize("status", FINAL)
@pytest.mark.parametrize("step", Step)
def test_a_final_order_stays_as_it_is(status: Status, step: Step) -> None:
    assert order(status).after(step, now=NOW) is None


def test_every_state_is_reached() -> None:
    assert {Status.PENDING, *TRANSITIONS.values()} == set(Status)


@given(LINES, PRICES)
def test_a_total_is_the_sum_of_its_lines_or_the_order_is_refused(
    wanted: list[tuple[str, int]], known: dict[str, tuple[int, str, bool]]
) -> None:
    prices = {product: Price(product, *rest) for product, rest in known.items()}
    try:
        lines, total, currency = price(wanted, prices)
    except Unpriceable:
        return
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
