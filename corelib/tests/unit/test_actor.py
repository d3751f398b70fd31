"""What an actor declares wrongly is refused in a sentence when the service is built."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from declared import Drawn, Noted, Read, dynamo, service

from corelib.actor import Actor, Effect, effect, receive
from corelib.api import Api, get
from corelib.clock import ManualClock
from corelib.config import ServiceSettings
from corelib.memory.broker import MemoryBroker
from corelib.memory.store import Memory
from corelib.service import Service
from corelib.testing.desk import desk
from corelib.transaction import Transaction


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


class Door(Api):
    @get("/door")
    async def door(self) -> None:
        """Do nothing."""


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


WRONG = [
    (lambda: service(actors=no_event()), "Deaf.noted needs a parameter annotated with an Event class"),
    (lambda: service(actors=not_async()), "Hasty.noted must be `async def"),
    (lambda: service(actors=no_transaction()), "Careless.noted must be `async def"),
    (
        lambda: service(actors=[Scribe(), Scribe()]),
        "service x has Scribe.noted twice: give one of the two another name",
    ),
    (lambda: service(actors=[Reader()]), r"Reader.noted returns Read: not declared in Service\(publishes="),
    (lambda: service(actors=another_way_round()), "Turned.noted must be `async def"),
    (lambda: service(actors=effect_in_a_transaction()), "Mixed.noted must be `async def"),
    (lambda: service(actors=returned_to_nobody()), "Teller.noted returns None: it publishes by `tx`, not"),
    (lambda: service(actors=many_outcomes(), publishes=[Read]), "Many.noted returns an event or None, not"),
    (lambda: service(actors=[Scribe]), r"actors=\[Scribe\] is a class: give an instance of it, Scribe\(\.\.\.\)"),  # type: ignore[list-item]
    (lambda: service(actors=[Door()]), r"actors=\[Door\(\.\.\.\)\] is no Actor"),  # type: ignore[list-item]
    (lambda: effect(timedelta(seconds=5)), r"write @effect\(deadline=timedelta\(seconds=10\), attempts=8\)"),  # type: ignore[call-overload]
    (lambda: effect(deadline=10), r"deadline is a timedelta above 0, such as timedelta\(seconds=10\), not 10"),  # type: ignore[call-overload]
    (lambda: effect(attempts=0), "attempts is 0, but may be 1 or more"),
]


@pytest.mark.parametrize(("declared", "said"), WRONG)
def test_an_actor_declared_wrongly_is_refused_in_a_sentence(declared: Callable[[], object], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        declared()


def test_an_actor_declared_rightly_is_taken() -> None:
    assert service(actors=[Scribe(), Reader()], publishes=[Read]).name == "x"
    assert service(actors=[Viewer()], store=dynamo()).name == "x"


def test_decorators_are_taken_with_brackets_and_without() -> None:
    assert [(route.name, route.is_effect) for route in Brackets().routes()] == [
        ("Brackets.noted", False),
        ("Brackets.drawn", True),
    ]


def test_an_actor_has_the_handlers_that_it_inherits() -> None:
    assert [route.name for route in Heir().routes()] == ["Heir.noted"]


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
