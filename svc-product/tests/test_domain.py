"""The rules of stock hold whatever happens: never oversold, nothing lost, nothing made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from svc_product.domain import TRANSITIONS, Shelf, State, Step, after, missing

SUPPLY = {"bread": 10, "milk": 3}
LINES = st.dictionaries(st.sampled_from([*SUPPLY, "unknown"]), st.integers(1, 6), min_size=1)


class Warehouse(RuleBasedStateMachine):
    """Reserves, confirms, cancels and expires orders in any order, as the store does with the domain's answers."""

    def __init__(self) -> None:
        super().__init__()
        self.shelves = {product: Shelf(units, 0) for product, units in SUPPLY.items()}
        self.reservations: list[tuple[State, dict[str, int]]] = []
        self.sold = dict.fromkeys(SUPPLY, 0)

    @rule(lines=LINES)
    def reserve(self, lines: dict[str, int]) -> None:
        if missing(lines, self.shelves):
            return
        self._move(lines, on_hand=0, reserved=1)
        self.reservations.append((State.HELD, lines))

    @rule(which=st.integers(0, 30), step=st.sampled_from(Step))
    def finish(self, which: int, step: Step) -> None:
        if which >= len(self.reservations):
            return
        state, lines = self.reservations[which]
        following = after(state, step)
        if following is None:
            return
        self._move(lines, on_hand=-1 if following is State.COMMITTED else 0, reserved=-1)
        if following is State.COMMITTED:
            for product, units in lines.items():
                self.sold[product] += units
        self.reservations[which] = (following, lines)

    def _move(self, lines: dict[str, int], *, on_hand: int, reserved: int) -> None:
        for product, units in lines.items():
            shelf = self.shelves[product]
            self.shelves[product] = Shelf(shelf.on_hand + on_hand * units, shelf.reserved + reserved * units)

    @invariant()
    def never_more_is_promised_than_there_is(self) -> None:
        assert all(0 <= shelf.reserved <= shelf.on_hand for shelf in self.shelves.values())

    @invariant()
    def what_left_was_sold(self) -> None:
        for product, shelf in self.shelves.items():
            assert shelf.on_hand + self.sold[product] == SUPPLY[product]

    @invariant()
    def what_is_promised_is_held(self) -> None:
        held = [lines for state, lines in self.reservations if state is State.HELD]
        for product, shelf in self.shelves.items():
            assert shelf.reserved == sum(lines.get(product, 0) for lines in held)


TestWarehouse = Warehouse.TestCase


@pytest.mark.parametrize("state", [State.COMMITTED, State.RELEASED])
@pytest.mark.parametrize("step", Step)
def test_a_finished_reservation_stays_as_it_is(state: State, step: Step) -> None:
    assert after(state, step) is None


def test_every_state_is_reached() -> None:
    assert {State.HELD, *TRANSITIONS.values()} == set(State)


@given(LINES)
def test_all_lines_are_there_or_the_missing_ones_are_named(lines: dict[str, int]) -> None:
    shelves = {product: Shelf(units, 1) for product, units in SUPPLY.items()}
    lacking = {product for product, wanted in lines.items() if wanted > SUPPLY.get(product, 0) - 1}
    assert missing(lines, shelves) == sorted(lacking)
