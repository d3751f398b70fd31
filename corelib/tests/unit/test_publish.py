"""What may be published: refused is what no channel could carry to a handler, with the field and the limit named."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import BaseModel, Field, field_serializer

from corelib.actor import Actor, Effect, effect
from corelib.clock import SystemClock
from corelib.consumer.handling import handle
from corelib.errors import InvalidEvent, TooLarge
from corelib.memory.store import Memory
from corelib.message import MAX_BYTES, Channel, Envelope, Event, Transport, parse
from corelib.transaction import MAX_KEY_BYTES, Origin, Transaction, size_of

TOPIC = Channel("orders")
QUEUE = Channel("order-mails", Transport.SQS)
NARROW = Channel("narrow", max_bytes=1_000)
WIDE = Channel("wide", max_bytes=MAX_BYTES[Transport.KAFKA])
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Placed(Event, type="test.placed.v1", channels=(TOPIC,), key="order"):
    order: str | None
    text: str = ""


class Mailed(Event, type="test.mailed.v1", channels=(TOPIC, QUEUE), key="order"):
    order: str
    text: str = ""


class Posted(Event, type="test.posted.v1", channels=(QUEUE,), key="order"):
    order: str
    text: str = ""


class Narrow(Event, type="test.narrow.v1", channels=(NARROW, WIDE), key="order"):
    order: str
    text: str = ""


class Wide(Event, type="test.wide.v1", channels=(WIDE,), key="order"):
    order: str
    text: str = ""


class Keyless(Event, type="test.keyless.v1", channels=(TOPIC,)):
    text: str = ""


class Nowhere(Event, type="test.nowhere.v1", key="text"):
    text: str = "x"


class Numbered(Event, type="test.numbered.v1", channels=(TOPIC,), key="order"):
    order: UUID
    amount: int


class Line(BaseModel):
    product: str
    quantity: Annotated[int, Field(ge=1)]


class Priced(Event, type="test.priced.v1", channels=(TOPIC,), key="order"):
    order: str
    amount: Annotated[int, Field(ge=0)]
    note: Annotated[str, Field(max_length=10)] = ""
    lines: list[Line] = Field(default_factory=list)
    ratio: float = 1.0


class Hidden(Event, type="test.hidden.v1", channels=(TOPIC,), key="order", hide_input_in_errors=True):
    order: str
    code: Annotated[str, Field(max_length=4)]


class Defaulted(Event, type="test.defaulted.v1", channels=(TOPIC,), key="order"):
    order: str
    amount: Annotated[int, Field(ge=0)] = -1


class Renamed(Event, type="test.renamed.v1", channels=(TOPIC,), key="order"):
    order: str
    amount: Annotated[int, Field(validation_alias="sum")]


class Rounded(Event, type="test.rounded.v1", channels=(TOPIC,), key="order"):
    order: str
    amount: Annotated[int, Field(gt=0)]

    @field_serializer("amount")
    def thousands(self, amount: int) -> int:
        return amount // 1_000


KINDS: Sequence[type[Event]] = (
    Placed,
    Mailed,
    Posted,
    Narrow,
    Wide,
    Keyless,
    Nowhere,
    Numbered,
    Priced,
    Hidden,
    Defaulted,
    Renamed,
    Rounded,
)
PUBLISHED = frozenset(KINDS)
PRICED = Priced(order="k", amount=5)


class Unit(Transaction):
    async def commit(self) -> None:
        """Nothing is stored."""


def publish(event: Event, *, traceparent: str | None = TRACE) -> Transaction:
    tx = Unit(Origin("test", SystemClock(), PUBLISHED), None, traceparent)
    tx.publish(event)
    return tx


def made(**fields: object) -> Priced:
    """Return an event that nobody validated."""
    return Priced.model_construct(None, **fields)  # type: ignore[arg-type]  # that they are wrong is the point


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Placed(order=""), "Placed.order is the event's key and must not be empty"),
        (Placed(order=None), "Placed.order is the event's key and must not be empty"),
        (Placed(order="a\0b"), "Placed.order .* control characters"),
        (Placed(order="\ud800"), "Placed.order .* control characters"),
        (Placed(order="k" * (MAX_KEY_BYTES + 1)), f"Placed.order .* has {MAX_KEY_BYTES + 1} bytes; the limit is"),
        (Mailed(order="k", text="\uffff"), "a character that SQS does not take"),
        (Placed(order="k", text="\ud800"), "Placed does not validate: text: .*surrogates"),
        (Keyless(), "Keyless has no key"),
        (Nowhere(), "Nowhere has no channel"),
        (Numbered.model_construct(None, order=uuid4(), amount="many"), "Numbered does not validate: .*amount"),  # type: ignore[arg-type]
        (made(order="k", amount=-5), "Priced does not validate: amount: .* greater than or equal to 0, not -5"),
        (PRICED.model_copy(update={"amount": -5}), "amount: .* greater than or equal to 0, not -5"),
        (PRICED.model_copy(update={"note": "x" * 11}), "note: .* at most 10 characters, not 'xxxxxxxxxxx'"),
        (PRICED.model_copy(update={"amount": None}), "amount"),
        (PRICED.model_copy(update={"note": object()}), "does not validate: note: Unable to serialize unknown type"),
        (PRICED.model_copy(update={"ratio": float("nan")}), "ratio: .* valid number, not None"),
        (made(order="k"), "Priced does not validate: amount: Field required$"),
        (made(amount=5), "Priced.order is the event's key and must not be empty"),
        (
            made(order="k", amount=5, lines=[Line.model_construct(product="p", quantity=0)]),
            "lines.0.quantity: .* not 0",
        ),
        (
            made(order="k", amount=5, lines=[Line.model_construct(product="p", quantity=0)] * 9),
            "lines.4.quantity: .*; and 4 more$",
        ),
        (made(order=3, amount=5), "does not validate: order"),
        (Hidden.model_construct(order="k", code="secret"), "code: .* at most 4 characters$"),
        (Defaulted(order="k"), "amount: .* greater than or equal to 0, not -1"),
        (Renamed(order="k", sum=1), "sum: Field required"),  # type: ignore[call-arg]
        (Rounded(order="k", amount=999), "amount: .* greater than 0, not 0"),
    ],
)
def test_what_no_channel_could_carry_is_refused_with_its_reason(event: Event, said: str) -> None:
    with pytest.raises(InvalidEvent, match=said):
        publish(event)


def test_what_was_added_to_a_list_after_validation_is_judged_too() -> None:
    event = Priced(order="k", amount=5, lines=[Line(product="p", quantity=1)])
    publish(event)
    event.lines[0].quantity = 0
    with pytest.raises(InvalidEvent, match=r"lines.0.quantity"):
        publish(event)


def test_what_may_not_be_published_may_not_be_scheduled_either() -> None:
    tx = Unit(Origin("test", SystemClock(), PUBLISHED), None, TRACE)
    with pytest.raises(InvalidEvent, match=r"amount: .* greater than or equal to 0, not -5"):
        tx.schedule(made(order="k", amount=-5), at=datetime.now(UTC) + timedelta(hours=1))
    assert not tx.scheduled


@dataclass(frozen=True)
class Till(Actor):
    """Answers each order with what its provider says, without a look at it."""

    amount: int

    @effect(deadline=timedelta(seconds=1))
    async def charge(self, event: Placed, call: Effect) -> Priced:  # noqa: ARG002 -- an effect has one
        return made(order=event.order, amount=self.amount)


async def test_what_an_effect_returns_is_validated_before_it_counts_as_done() -> None:
    store = Memory()
    await store.open(Origin("test", SystemClock(), PUBLISHED))
    envelope = Envelope(uuid4(), Placed.type, "test", datetime.now(UTC), "k")
    (wrong,), (right,) = Till(amount=-5).routes(), Till(amount=5).routes()
    with pytest.raises(InvalidEvent, match=r"amount: .* greater than or equal to 0, not -5"):
        await handle(store, wrong, envelope, Placed(order="k"))
    assert await handle(store, right, envelope, Placed(order="k")) == "done"
    assert await handle(store, right, envelope, Placed(order="k")) == "duplicate"


def test_an_event_that_the_service_did_not_declare_is_refused() -> None:
    class Other(Event, type="test.other.v1", channels=(TOPIC,), key="text"):
        text: str = "x"

    with pytest.raises(InvalidEvent, match="Other is not declared"):
        publish(Other())


@pytest.mark.parametrize(("kind", "limiting"), [(Placed, TOPIC), (Posted, QUEUE), (Narrow, NARROW), (Wide, WIDE)])
def test_what_fits_to_the_byte_is_taken_and_one_byte_more_is_not(
    kind: type[Placed | Posted | Narrow | Wide], limiting: Channel
) -> None:
    room = limiting.max_bytes - size_of(publish(kind(order="k")).outgoing[0])
    assert size_of(publish(kind(order="k", text="x" * room)).outgoing[0]) == limiting.max_bytes
    takes = f"{limiting.transport} channel {limiting.name} takes {limiting.max_bytes} "
    said = f"{kind.__name__} has {limiting.max_bytes + 1} bytes with its attributes; {takes}.Channel.max_bytes"
    with pytest.raises(TooLarge, match=said):
        publish(kind(order="k", text="x" * (room + 1)))


@given(some.text(min_size=1), some.text())
def test_whatever_is_published_can_be_read_again(order: str, text: str) -> None:
    try:
        records = publish(Mailed(order=order, text=text)).outgoing
    except InvalidEvent:
        return
    for record in records:
        assert Mailed.model_validate_json(record.payload) == Mailed(order=order, text=text)
        assert record.key.encode().decode() == order


_ANYTHING: some.SearchStrategy[Any] = some.one_of(
    some.none(), some.booleans(), some.integers(), some.floats(), some.text(), some.binary(), some.datetimes(),
    some.lists(some.integers()), some.dictionaries(some.text(), some.integers()),
)  # fmt: skip
_LINES = some.lists(
    some.builds(Line.model_construct, product=some.text() | some.none(), quantity=some.integers() | some.text())
)


@given(
    some.fixed_dictionaries(
        {},
        optional={
            "order": some.text(min_size=1) | _ANYTHING,
            "amount": some.integers() | _ANYTHING,
            "note": some.text() | _ANYTHING,
            "lines": _LINES | _ANYTHING,
            "ratio": some.floats() | _ANYTHING,
        },
    ),
    some.booleans(),
)
def test_whatever_is_taken_is_an_event_to_its_handlers(fields: dict[str, Any], copied: bool) -> None:  # noqa: FBT001
    event = PRICED.model_copy(update=fields) if copied else made(**fields)
    with suppress(InvalidEvent):
        for record in publish(event).outgoing:
            assert parse(record, Priced).key == record.key
