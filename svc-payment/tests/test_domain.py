"""The rules of payments hold in whatever order the words of the provider come."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from svc_payment.domain import CHARGE, Outcome, Payment, Refund, Status

NEW = Payment(UUID(int=1), UUID(int=2), UUID(int=3), 100, "USD")
EVENTS = st.lists(st.sampled_from([*Outcome, "refund asked", "refunded"]), max_size=12)


def told(payment: Payment, event: object) -> Payment | None:
    if isinstance(event, Outcome):
        return payment.settled(event, provider_reference="ch_1", reason="")
    return payment.refund_asked() if event == "refund asked" else payment.refunded()


@given(EVENTS)
def test_a_payment_settles_once_and_is_refunded_at_most_once(events: list[object]) -> None:
    payment, settled, refunds, asked = NEW, [], 0, False
    for event in events:
        after = told(payment, event)
        asked = asked or event == "refund asked"
        if after is None:
            continue
        assert after.version == payment.version + 1
        if after.status is not payment.status:
            settled.append(after.status)
        refunds += after.refund is Refund.REFUNDED
        payment = after
    assert settled in ([], [Status.CAPTURED], [Status.DECLINED])
    assert refunds <= 1
    if payment.refund in (Refund.REQUESTED, Refund.REFUNDED):
        assert payment.status is Status.CAPTURED
        assert asked
    if asked and payment.status is Status.CAPTURED:
        assert payment.refund in (Refund.REQUESTED, Refund.REFUNDED)


def test_a_refund_asked_before_the_charge_settles_follows_a_capture_and_no_decline() -> None:
    wanted = NEW.refund_asked()
    assert wanted is not None
    captured = wanted.settled(Outcome.CAPTURED, provider_reference="ch_1", reason="")
    declined = wanted.settled(Outcome.DECLINED, provider_reference="ch_1", reason="")
    assert captured is not None
    assert declined is not None
    assert (captured.refund, declined.refund) == (Refund.REQUESTED, Refund.NONE)


def test_every_outcome_settles_a_charge() -> None:
    assert {outcome for status, outcome in CHARGE if status is Status.CHARGING} == set(Outcome)
