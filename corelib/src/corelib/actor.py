"""Actors: frozen dataclasses whose fields are dependencies and whose methods handle events.

The mailbox is the event's key: equal keys one after another, different keys at the same time.
`@receive` changes state in one transaction with its events and the inbox mark. `@effect` touches the outside world
outside any transaction; what it returns is an event that is committed with the inbox mark.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from inspect import iscoroutinefunction, signature
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints, overload

from corelib.message import Envelope, Event
from corelib.transaction import Transaction

Handler = Callable[..., Awaitable[Any]]
H = TypeVar("H", bound=Handler)
_MARK = "__corelib_handler__"
_PARAMETERS = 3


@dataclass(frozen=True)
class Effect:
    """What an effect may know of its call: the event's id is the idempotency key to hand to the outside.

    `attempt` counts from 1 in this process; the outside must tell repetitions by the key, as a crash forgets the count.
    """

    idempotency_key: str
    deadline: timedelta
    attempt: int
    envelope: Envelope


@dataclass(frozen=True)
class Route:
    """One handler bound to its actor."""

    name: str
    event: type[Event]
    call: Handler
    is_effect: bool
    deadline: timedelta
    attempts: int

    def outcomes(self) -> frozenset[type[Event]]:
        """Return the events that an effect may return, as its annotation says."""
        return frozenset(kind for kind in _returned(self.call) if _is_event(kind))


@dataclass(frozen=True)
class _Declared:
    is_effect: bool
    deadline: timedelta
    attempts: int


class Actor:
    """A base that only marks the class; subclass it as `@dataclass(frozen=True)`."""

    def routes(self) -> Iterator[Route]:
        """Yield this actor's handlers."""
        for name in dict.fromkeys(name for kind in reversed(type(self).__mro__) for name in vars(kind)):
            function = getattr(type(self), name)
            declared = getattr(function, _MARK, None)
            if isinstance(declared, _Declared):
                bound = getattr(self, name)
                yield Route(
                    name=f"{type(self).__name__}.{name}",
                    event=_event_of(function, declared),
                    call=bound,
                    is_effect=declared.is_effect,
                    deadline=declared.deadline,
                    attempts=declared.attempts,
                )


@overload
def receive(function: H, /) -> H: ...


@overload
def receive() -> Callable[[H], H]: ...


def receive(function: H | None = None, /) -> H | Callable[[H], H]:
    """Declare `async (self, event, tx) -> None`: its writes, its events and the inbox mark are one transaction.

    One that takes longer than 30 s is stopped and rolled back, as an attempt that failed.
    """
    return _declare(function, _Declared(is_effect=False, deadline=timedelta(seconds=30), attempts=8))


@overload
def effect(function: H, /) -> H: ...


@overload
def effect(*, deadline: timedelta = ..., attempts: int = ...) -> Callable[[H], H]: ...


def effect(
    function: H | None = None, /, *, deadline: timedelta = timedelta(seconds=10), attempts: int = 8
) -> H | Callable[[H], H]:
    """Declare `async (self, event, call: Effect) -> Event | None`, run outside any transaction, repeated on failure."""
    if function is not None and not callable(function):
        raise TypeError(f"write @effect(deadline=timedelta(seconds=10), attempts=8), not @effect({function!r})")
    if not isinstance(deadline, timedelta) or deadline <= timedelta(0):
        raise TypeError(f"deadline is a timedelta above 0, such as timedelta(seconds=10), not {deadline!r}")
    if attempts < 1:
        raise TypeError(f"attempts is {attempts}, but may be 1 or more")
    return _declare(function, _Declared(is_effect=True, deadline=deadline, attempts=attempts))


def _declare(function: H | None, declared: _Declared) -> H | Callable[[H], H]:
    """Mark a handler, or return what marks one: a decorator may stand with brackets or without."""

    def declare(function: H) -> H:
        setattr(function, _MARK, declared)
        return function

    return declare if function is None else declare(function)


def _returned(function: Handler) -> tuple[Any, ...]:
    """Return what a handler may return, as its annotation says."""
    returned = get_type_hints(function).get("return", NoneType)
    return get_args(returned) if get_origin(returned) in {Union, UnionType} else (returned,)


def _event_of(function: Handler, declared: _Declared) -> type[Event]:
    """Return what a handler handles. Raises `TypeError` for one that could never be called."""
    hints = get_type_hints(function)
    kinds = [hint for name, hint in hints.items() if name != "return" and _is_event(hint)]
    if not kinds:
        raise TypeError(f"{function.__qualname__} needs a parameter annotated with an Event class")
    if not iscoroutinefunction(function) or len(signature(function).parameters) != _PARAMETERS:
        raise TypeError(f"{function.__qualname__} must be `async def (self, event, tx)`; an effect's: `call`, no `tx`")
    _, event, other = signature(function).parameters
    wanted = Effect if declared.is_effect else Transaction
    unfit = isinstance(hints.get(other), type) and not issubclass(hints[other], wanted)
    if unfit or not _is_event(hints.get(event)):
        raise TypeError(f"{function.__qualname__} must be `async def (self, event, tx)`; an effect's: `call`, no `tx`")
    for kind in _returned(function):
        if kind is not NoneType and not (declared.is_effect and _is_event(kind)):
            what = "an event or None" if declared.is_effect else "None: it publishes by `tx`"
            raise TypeError(f"{function.__qualname__} returns {what}, not {kind}")
    found: type[Event] = kinds[0]
    return found


def _is_event(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Event)
