"""What is declared wrongly is refused in a sentence when the service is built, not by what never happens later."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from corelib.actor import Actor, Effect, effect, receive
from corelib.api import Api, get, post
from corelib.auth import Caller
from corelib.aws.clients import Aws
from corelib.clock import ManualClock
from corelib.config import ServiceSettings
from corelib.dynamo.store import Dynamo
from corelib.memory.broker import MemoryBroker
from corelib.memory.store import Memory
from corelib.message import Channel, Event, Transport
from corelib.service import Service
from corelib.store import Store
from corelib.testing.desk import desk
from corelib.transaction import Origin, Timer, Transaction

NOTES = Channel("notes")


class Noted(Event, type="test.noted.v1", channels=(NOTES,), key="name"):
    name: str


class Read(Event, type="test.read.v1", channels=(NOTES,), key="name"):
    name: str


class Drawn(Event, type="test.drawn.v1", channels=(Channel("drawings", max_bytes=350_001),), key="name"):
    name: str


class Viewer(Actor):
    @receive
    async def drawn(self, event: Drawn, tx: Transaction) -> None:
        """Do nothing."""


class Scribe(Actor):
    @receive
    async def noted(self, event: Noted, tx: Transaction) -> None:
        """Do nothing."""


class Heir(Scribe):
    """Has the handlers of whom it inherits from."""


class Door(Api):
    @get("/door")
    async def door(self) -> None:
        """Do nothing."""


class OtherDoor(Door):
    """Has the endpoints of whom it inherits from."""


class Reader(Actor):
    @effect()
    async def noted(self, event: Noted, call: Effect) -> Read | None:
        """Return nothing, today."""


class Brackets(Actor):
    """Has handlers whose decorators are written the other way."""

    @receive()
    async def noted(self, event: Noted, tx: Transaction) -> None:
        """Do nothing."""

    @effect
    async def drawn(self, event: Drawn, call: Effect) -> None:
        """Do nothing."""


def no_such_key() -> None:
    class Lost(Event, type="test.lost.v1", channels=(NOTES,), key="nmae"):
        name: str


def no_event() -> list[Actor]:
    class Deaf(Actor):
        @receive
        async def noted(self, event: str, tx: Transaction) -> None: ...

    return [Deaf()]


def not_async() -> list[Actor]:
    class Hasty(Actor):
        @receive  # type: ignore[type-var]  # what a type checker would say, is said to others too
        def noted(self, event: Noted, tx: Transaction) -> None: ...

    return [Hasty()]


def no_transaction() -> list[Actor]:
    class Careless(Actor):
        @receive
        async def noted(self, event: Noted) -> None: ...

    return [Careless()]


def another_way_round() -> list[Actor]:
    class Turned(Actor):
        @receive
        async def noted(self, tx: Transaction, event: Noted) -> None: ...

    return [Turned()]


def effect_in_a_transaction() -> list[Actor]:
    class Mixed(Actor):
        @effect()
        async def noted(self, event: Noted, tx: Transaction) -> None: ...

    return [Mixed()]


def returned_to_nobody() -> list[Actor]:
    class Teller(Actor):
        @receive
        async def noted(self, event: Noted, tx: Transaction) -> Read: ...  # type: ignore[empty-body]

    return [Teller()]


def many_outcomes() -> list[Actor]:
    class Many(Actor):
        @effect()
        async def noted(self, event: Noted, call: Effect) -> list[Read]: ...  # type: ignore[empty-body]

    return [Many()]


def a_key_of_nothing() -> list[Api]:
    class Loose(Api):
        @post("/x", idempotent="required")
        async def make(self) -> None: ...

    return [Loose()]


def perhaps_a_caller() -> list[Api]:
    class Perhaps(Api):
        @get("/me")
        async def look(self, caller: Caller | None = None) -> None: ...

    return [Perhaps()]


def no_model() -> list[Api]:
    class Any(Api):
        @post("/x")
        async def make(self, body: dict[str, str]) -> None: ...

    return [Any()]


def unannotated() -> list[Api]:
    class Vague(Api):
        @get("/{name}")
        async def look(self, name) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001 -- as above

    return [Vague()]


def misnamed() -> list[Api]:
    class Wrong(Api):
        @get("/{name}")
        async def look(self, nmae: str) -> None: ...

    return [Wrong()]


def no_authenticator() -> list[Api]:
    class Curious(Api):
        @get("/me")
        async def look(self, caller: Caller) -> None: ...

    return [Curious()]


def not_async_endpoint() -> list[Api]:
    class Hasty(Api):
        @get("/me")  # type: ignore[type-var]  # as above
        def look(self) -> None: ...

    return [Hasty()]


def bare_get() -> None:
    class Bare(Api):
        @get  # type: ignore[arg-type]  # as above
        async def look(self) -> None: ...  # type: ignore[misc]  # as above


def same_door() -> list[Api]:
    class Hall(Api):
        @post("/doors/{name}")
        async def open(self, name: str) -> None: ...

        @get("/doors/{name}")
        async def look(self, name: str) -> None: ...

        @get("/doors")
        async def count(self) -> None: ...

    class Yard(Api):
        @get("/doors/{door}")
        async def peep(self, door: str) -> None: ...

    return [Hall(), Yard()]


def taken_by_corelib() -> list[Api]:
    class Late(Api):
        @get("/livez")
        async def live(self) -> None: ...

    return [Late()]


def scheduled(at: object) -> None:
    class Draft(Transaction):
        async def commit(self) -> None: ...

    tx = Draft(Origin("souk/x", ManualClock(), frozenset({Noted})), None, None)
    tx.schedule(Noted(name="a"), at=at)  # type: ignore[arg-type]  # as above


def service(actors: list[Actor], apis: list[Api], publishes: list[type[Event]], store: Store | None = None) -> Service:
    settings, broker, store = ServiceSettings(), MemoryBroker(), store or Memory()
    return Service("x", settings, store=store, actors=actors, apis=apis, publishes=publishes, brokers=[broker])


def dynamo() -> Store:
    return Dynamo("x", Aws(endpoint_url="http://127.0.0.1:1"))


def nameless() -> list[type[Event]]:
    class Nameless(Event):
        name: str

    return [Nameless]


def same_type() -> list[type[Event]]:
    class Again(Event, type=Noted.type, channels=(NOTES,), key="name"):
        name: str

    return [Noted, Again]


WRONG = [
    (no_such_key, "Lost has no field 'nmae' to be its key, only"),
    (lambda: service(no_event(), [], []), "Deaf.noted needs a parameter annotated with an Event class"),
    (lambda: service(not_async(), [], []), "Hasty.noted must be `async def"),
    (lambda: service(no_transaction(), [], []), "Careless.noted must be `async def"),
    (
        lambda: service([Scribe(), Scribe()], [], []),
        "service x has Scribe.noted twice: give one of the two another name",
    ),
    (lambda: service([], [], nameless()), "Nameless has no type, channels, key: name them in its class statement"),
    (lambda: service([], [], same_type()), "service x has test.noted.v1 twice: give one"),
    (lambda: service([Reader()], [], []), r"Reader.noted returns Read: not declared in Service\(publishes="),
    (lambda: service(another_way_round(), [], []), "Turned.noted must be `async def"),
    (lambda: service(effect_in_a_transaction(), [], []), "Mixed.noted must be `async def"),
    (lambda: service(returned_to_nobody(), [], []), "Teller.noted returns None: it publishes by `tx`, not"),
    (lambda: service(many_outcomes(), [], [Read]), "Many.noted returns an event or None, not"),
    (lambda: service([], a_key_of_nothing(), []), "make: an Idempotency-Key is kept with what it did: ask for `tx`"),
    (lambda: post("/x", idempotent="requierd"), "/x: idempotent is one of"),  # type: ignore[arg-type]
    (lambda: service([], perhaps_a_caller(), []), r"look: caller must be a Caller, not corelib.auth.Caller \| None"),
    (lambda: service([], no_model(), []), r"make: body must be a BaseModel, not dict\[str, str\]"),
    (lambda: Timer("no UUID"), "a timer's id is a UUID, not 'no UUID'"),  # type: ignore[arg-type]
    (lambda: service([], unannotated(), []), "look: name must be annotated"),
    (lambda: service([], misnamed(), []), "look: cannot bind nmae: parameters are those in the path"),
    (lambda: service([], no_authenticator(), []), r"GET /me wants a caller: give Service\(authenticator="),
    (lambda: service([], not_async_endpoint(), []), "look must be `async def`"),
    (lambda: service([Scribe], [], []), r"actors=\[Scribe\] is a class: give an instance of it, Scribe\(\.\.\.\)"),  # type: ignore[list-item]
    (lambda: service([], [Door], []), r"apis=\[Door\] is a class: give an instance of it, Door\(\.\.\.\)"),  # type: ignore[list-item]
    (lambda: service([Door()], [], []), r"actors=\[Door\(\.\.\.\)\] is no Actor"),  # type: ignore[list-item]
    (lambda: get("/x", roles="admin"), r"/x: roles is a tuple of names: \('admin',\), not 'admin'"),  # type: ignore[arg-type]
    (bare_get, r"write @get\(\"/path\"\), not @get: its path begins with /, unlike <function"),
    (lambda: post("orders"), "its path begins with /, unlike 'orders'"),
    (lambda: effect(timedelta(seconds=5)), r"write @effect\(deadline=timedelta\(seconds=10\), attempts=8\)"),  # type: ignore[call-overload]
    (lambda: effect(deadline=10), r"deadline is a timedelta above 0, such as timedelta\(seconds=10\), not 10"),  # type: ignore[call-overload]
    (lambda: effect(attempts=0), "attempts is 0, but may be 1 or more"),
    (lambda: service([], [], [Noted(name="a")]), r"publishes=\[Noted\(\.\.\.\)\] is no class of events: give Noted"),  # type: ignore[list-item]
    (lambda: service([], [], [Scribe]), r"publishes=\[Scribe\] is no class of events"),  # type: ignore[list-item]
    (lambda: service([], same_door(), []), r"GET /doors/{door} is there twice, as Hall\.look and Yard\.peep"),
    (
        lambda: service([], [Door(), Door()], []),
        "GET /door is there twice, as Door.door and Door.door: change the path",
    ),
    (lambda: service([], taken_by_corelib(), []), "GET /livez is there twice, as corelib's own and Late.live"),
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
        lambda: service([], [], [Drawn], dynamo()),
        "service x publishes to drawings with max_bytes above 350000, .* dynamodb",
    ),
]


@pytest.mark.parametrize(("declared", "said"), WRONG)
def test_what_is_declared_wrongly_is_refused_in_a_sentence(declared: Callable[[], object], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        declared()


def test_what_is_declared_rightly_is_taken() -> None:
    assert service([Scribe(), Reader()], [Door()], [Read]).name == "x"
    assert service([Viewer()], [], [Drawn]).name == "x"
    assert service([Viewer()], [], [], dynamo()).name == "x"
    assert service([Scribe()], [], [Noted], dynamo()).name == "x"


def test_decorators_are_taken_with_brackets_and_without() -> None:
    assert [(route.name, route.is_effect) for route in Brackets().routes()] == [
        ("Brackets.noted", False),
        ("Brackets.drawn", True),
    ]


@pytest.mark.parametrize("name", ["a" * 249, "orders.v1_new-2", "..."])
def test_a_topic_may_be_called_what_kafka_allows(name: str) -> None:
    assert Channel(name).name == name


@pytest.mark.parametrize("name", ["a" * 80, "ledger.fifo"])
def test_a_queue_may_be_called_what_sqs_allows(name: str) -> None:
    assert Channel(name, Transport.SQS).name == name


def test_addresses_that_differ_by_method_or_by_what_a_parameter_takes_are_two() -> None:
    class Parcels(Api):
        @get("/parcels/{parcel_id}")
        async def by_id(self, parcel_id: UUID) -> None: ...

        @get("/parcels/{name}")
        async def by_name(self, name: str) -> None: ...

        @post("/parcels/{name}")
        async def send(self, name: str) -> None: ...

    assert service([], [Parcels()], []).name == "x"


def test_an_actor_has_the_handlers_that_it_inherits() -> None:
    assert [route.name for route in Heir().routes()] == ["Heir.noted"]


def test_an_api_has_the_endpoints_that_it_inherits() -> None:
    assert [operation.path for operation, _ in OtherDoor().operations()] == ["/door"]


async def test_a_desk_proves_nothing_of_what_nobody_handles() -> None:
    clock = ManualClock()
    built = Service("x", ServiceSettings(), store=Memory(), actors=[Scribe()], brokers=[MemoryBroker()], clock=clock)
    async with desk(built, clock) as at:
        assert await at.handle(Noted(name="a")) == []
        with pytest.raises(LookupError, match="service x has no handler for Read"):
            await at.handle(Read(name="a"))
    with pytest.raises(ValueError, match="service x has a clock of its own"):
        async with desk(built, ManualClock()):
            pass
