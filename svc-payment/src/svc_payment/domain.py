"""The rules of payments and refunds: pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID


class Status(StrEnum):
    """A charge's life; the last two are final."""

    CHARGING = "charging"
    CAPTURED = "captured"
    DECLINED = "declined"


class Refund(StrEnum):
    """A refund's life beside it. WANTED waits for a charge that is still under way."""

    NONE = "none"
    WANTED = "wanted"
    REQUESTED = "requested"
    REFUNDED = "refunded"


class Outcome(StrEnum):
    """What the provider says of a charge."""

    CAPTURED = "captured"
    DECLINED = "declined"


# What is not in a table changes nothing.
CHARGE: Mapping[tuple[Status, Outcome], Status] = {
    (Status.CHARGING, Outcome.CAPTURED): Status.CAPTURED,
    (Status.CHARGING, Outcome.DECLINED): Status.DECLINED,
}
REFUND_ASKED: Mapping[tuple[Status, Refund], Refund] = {
    (Status.CHARGING, Refund.NONE): Refund.WANTED,
    (Status.CAPTURED, Refund.NONE): Refund.REQUESTED,
}
REFUND_AT_SETTLEMENT: Mapping[tuple[Status, Refund], Refund] = {
    (Status.CAPTURED, Refund.WANTED): Refund.REQUESTED,
    (Status.DECLINED, Refund.WANTED): Refund.NONE,
}


@dataclass(frozen=True)
class Payment:
    """The payment of an order; `amount` in minor units, `version` counts its stored states."""

    order_id: UUID
    user_id: UUID
    payment_id: UUID
    amount: int
    currency: str
    status: Status = Status.CHARGING
    refund: Refund = Refund.NONE
    provider_reference: str = ""
    reason: str = ""
    version: int = 1

    def settled(self, outcome: Outcome, *, provider_reference: str, reason: str) -> "Payment | None":
        """Return the payment after the provider's answer, or None when it was settled before."""
        status = CHARGE.get((self.status, outcome))
        if status is None:
            return None
        refund = REFUND_AT_SETTLEMENT.get((status, self.refund), self.refund)
        return self._next(status=status, refund=refund, provider_reference=provider_reference, reason=reason)

    def refund_asked(self) -> "Payment | None":
        """Return the payment with a refund under way, or None where there is nothing to give back, or no more."""
        refund = REFUND_ASKED.get((self.status, self.refund))
        return None if refund is None else self._next(refund=refund)

    def refunded(self) -> "Payment | None":
        """Return the payment after the money went back, or None when it had gone before."""
        return self._next(refund=Refund.REFUNDED) if self.refund is Refund.REQUESTED else None

    def _next(self, **changes: object) -> "Payment":
        return replace(self, version=self.version + 1, **changes)  # type: ignore[arg-type]  # fields by name
