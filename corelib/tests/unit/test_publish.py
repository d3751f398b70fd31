"""What may be published: refused is what no channel could carry to a handler, with the field and the limit named."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as some

from corelib.clock import SystemClock
from corelib.errors import InvalidEvent
from corelib.message import Channel, Event, Transport
from corelib.transaction import MAX_BYTES, MAX_KEY_BYTES, Origin, Transaction, size_of

TOPIC = Channel("orders")
QUEUE = Channel("order-mails", Transport.SQS)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Placed(Event, type="test.placed.v1", channels=(TOPIC,), key="order"):
    order: str | None
    text: str = ""


class Mailed(Event, type="test.mailed.v1", channels=(TOPIC, QUEUE), key="order"):
    order: str
    text: str = ""


class Keyless(Event, type="test.keyless.v1", channels=(TOPIC,)):
    text: str = ""


class Nowhere(Event, type="test.nowhere.v1", key="text"):
    text: str = "x"


class Numbered(Event, type="test.numbered.v1", channels=(TOPIC,), key="order"):
    order: UUID
    amount: int


class Unit(Transaction):
    async def commit(self) -> None:
        """Nothing is stored."""


def publish(event: Event, *, traceparent: str | None = TRACE) -> Transaction:
    origin = Origin("test", SystemClock(), frozenset({Placed, Mailed, Keyless, Nowhere, Numbered}))
    tx = Unit(origin, None, traceparent)
    tx.publish(event)
    return tx


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Placed(order=""), "Placed.order is the event's key and must not be empty"),
        (Placed(order=None), "Placed.order is the event's key and must not be empty"),
        (Placed(order="a\0b"), "Placed.order .* control characters"),
        (Placed(order="\ud800"), "Placed.order .* control characters"),
        (Placed(order="k" * (MAX_KEY_BYTES + 1)), f"Placed.order .* has {MAX_KEY_BYTES + 1} bytes; the limit is"),
        (Placed(order="k", text="x" * 300_000), "Placed has 300... bytes .* kafka channel orders takes 262144"),
        (
            Mailed(order="k", text="x" * 262_000),
            "Mailed has 26.... bytes with its attributes; .* channel order.* takes 262144",
        ),
        (Mailed(order="k", text="\uffff"), "a character that SQS does not take"),
        (Placed(order="k", text="\ud800"), "Placed does not validate"),
        (Keyless(), "Keyless has no key"),
        (Nowhere(), "Nowhere has no channel"),
        (Numbered.model_construct(None, order=uuid4(), amount="many"), "Numbered does not validate: .*amount"),  # type: ignore[arg-type]
    ],
)
def test_what_no_channel_could_carry_is_refused_with_its_reason(event: Event, said: str) -> None:
    with pytest.raises(InvalidEvent, match=said):
        publish(event)


def test_an_event_that_the_service_did_not_declare_is_refused() -> None:
    class Other(Event, type="test.other.v1", channels=(TOPIC,), key="text"):
        text: str = "x"

    with pytest.raises(InvalidEvent, match="Other is not declared"):
        publish(Other())


def test_what_fits_to_the_byte_is_taken_and_one_byte_more_is_not() -> None:
    empty = publish(Mailed(order="k", text="")).outgoing[1]
    room = MAX_BYTES[Transport.SQS] - size_of(empty)
    assert size_of(publish(Mailed(order="k", text="x" * room)).outgoing[1]) == MAX_BYTES[Transport.SQS]
    with pytest.raises(InvalidEvent):
        publish(Mailed(order="k", text="x" * (room + 1)))


@given(some.text(min_size=1), some.text())
def test_whatever_is_published_can_be_read_again(order: str, text: str) -> None:
    try:
        records = publish(Mailed(order=order, text=text)).outgoing
    except InvalidEvent:
        return
    for record in records:
        assert Mailed.model_validate_json(record.payload) == Mailed(order=order, text=text)
        assert record.key.encode().decode() == order
