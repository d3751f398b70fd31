"""The rules of stock and reservations: pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """A reservation's life."""

    HELD = "held"
    COMMITTED = "committed"
    RELEASED = "released"


class Step(StrEnum):
    """What may happen to a reservation."""

    CONFIRM = "confirm"
    CANCEL = "cancel"
    EXPIRE = "expire"


# The whole life: what is not in the table changes nothing.
TRANSITIONS: Mapping[tuple[State, Step], State] = {
    (State.HELD, Step.CONFIRM): State.COMMITTED,
    (State.HELD, Step.CANCEL): State.RELEASED,
    (State.HELD, Step.EXPIRE): State.RELEASED,
}


def after(state: State, step: Step) -> State | None:
    """Return the state that follows, or None when the step changes nothing any more."""
    return TRANSITIONS.get((state, step))


@dataclass(frozen=True)
class Shelf:
    """A product's stock, in units: `reserved` of what is on hand is promised."""

    on_hand: int
    reserved: int

    @property
    def available(self) -> int:
        """Return what can still be promised."""
        return self.on_hand - self.reserved


def missing(lines: Mapping[str, int], shelves: Mapping[str, Shelf]) -> list[str]:
    """Return the products that stand in the way: all lines are reserved, or none."""
    return sorted(
        product for product, wanted in lines.items() if product not in shelves or shelves[product].available < wanted
    )
