"""What an event, a channel or a timer declares wrongly is refused in a sentence, not by what never happens later."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from declared import NOTES, Drawn, Noted, dynamo, service

from corelib.actor import Actor
from corelib.clock import ManualClock
from corelib.message import Channel, Event, Transport
from corelib.transaction import Origin, Timer, Transaction


def no_such_key() -> None:
    class Lost(Event, type="test.lost.v1", channels=(NOTES,), key="nmae"):
        name: str


def nameless() -> list[type[Event]]:
    class Nameless(Event):
        name: str

    return [Nameless]


def same_type() -> list[type[Event]]:
    class Again(Event, type=Noted.type, channels=(NOTES,), key="name"):
        name: str

    return [Noted, Again]


def scheduled(at: object) -> None:
    class Draft(Transaction):
        async def commit(self) -> None: ...

    tx = Draft(Origin("souk/x", ManualClock(), frozenset({Noted})), None, None)
    tx.schedule(Noted(name="a"), at=at)  # type: ignore[arg-type]  # what a type checker would say, is said to others too


WRONG = [
    (no_such_key, "Lost has no field 'nmae' to be its key, only"),
    (lambda: service(publishes=nameless()), "Nameless has no type, channels, key: name them in its class statement"),
    (lambda: service(publishes=same_type()), "service x has test.noted.v1 twice: give one"),
    (lambda: Timer("no UUID"), "a timer's id is a UUID, not 'no UUID'"),  # type: ignore[arg-type]
    (lambda: service(publishes=[Noted(name="a")]), r"publishes=\[Noted\(\.\.\.\)\] is no class of events: give Noted"),  # type: ignore[list-item]
    (lambda: service(publishes=[Actor]), r"publishes=\[Actor\] is no class of events"),  # type: ignore[list-item]
    (lambda: scheduled(datetime(2026, 1, 1)), "at is a datetime with a time zone, such as datetime.now"),  # noqa: DTZ001 -- this is it
    (lambda: scheduled(timedelta(minutes=5)), r"at is a datetime with .*, not datetime.timedelta\(seconds=300\)"),
    (
        lambda: Channel("a b"),
        "channel 'a b': a topic's name has 1 to 249 letters of ASCII, digits, dots, underscores and hyphens",
    ),
    (lambda: Channel(""), "channel '': a topic's name has 1 to 249"),
    (lambda: Channel(".."), r"channel '\.\.': a topic's name has 1 to 249 .* and is not '\.' or '\.\.'"),
    (lambda: Channel("a" * 250), "a topic's name has 1 to 249"),
    (
        lambda: Channel("a.b", Transport.SQS),
        "channel 'a.b': a queue's name has 1 to 80 letters of ASCII, digits, underscores",
    ),
    (lambda: Channel("x", max_bytes=896_001), "channel x: max_bytes is 896001, but may be 1 to 896000 on kafka"),
    (lambda: Channel("x", Transport.SQS, max_bytes=262_145), "channel x: .* may be 1 to 262144 on sqs"),
    (lambda: Channel("x", max_bytes=0), "channel x: max_bytes is 0"),
    (lambda: Channel("x", Transport.SQS, max_receives=0), "channel x: max_receives is 0, but may be 1 to 1000"),
    (lambda: Channel("x", Transport.SQS, max_receives=1_001), "channel x: max_receives is 1001"),
    (
        lambda: service(publishes=[Drawn], store=dynamo()),
        "service x publishes to drawings with max_bytes above 350000, .* dynamodb",
    ),
]


@pytest.mark.parametrize(("declared", "said"), WRONG)
def test_what_is_declared_wrongly_is_refused_in_a_sentence(declared: Callable[[], object], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        declared()


def test_events_declared_rightly_are_taken() -> None:
    assert service(publishes=[Drawn]).name == "x"
    assert service(publishes=[Noted], store=dynamo()).name == "x"


@pytest.mark.parametrize("name", ["a" * 249, "orders.v1_new-2", "..."])
def test_a_topic_may_be_called_what_kafka_allows(name: str) -> None:
    assert Channel(name).name == name


@pytest.mark.parametrize("name", ["a" * 80, "ledger.fifo"])
def test_a_queue_may_be_called_what_sqs_allows(name: str) -> None:
    assert Channel(name, Transport.SQS).name == name
