"""What is wrong with a service as it is declared: each a `TypeError` in one sentence, when it is built."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from corelib.message import Event
from corelib.transaction import channels_of

if TYPE_CHECKING:
    from corelib.service import Service

_NAMESPACE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,30}[a-zA-Z0-9]")


def require_instances(what: str, kind: type, given: Iterable[object]) -> None:
    """Tell a class from an instance of it, and an actor from an api."""
    for one in given:
        if isinstance(one, type):
            name = one.__name__
            raise TypeError(f"{what}=[{name}] is a class: give an instance of it, {name}(...)")
        if not isinstance(one, kind):
            raise TypeError(f"{what}=[{type(one).__name__}(...)] is no {kind.__name__}")


def require_namespace(namespace: str) -> None:
    """It is the identifier of a URN's namespace (RFC 8141)."""
    if not _NAMESPACE.fullmatch(namespace):
        raise TypeError(f"namespace={namespace!r}: it has 2 to 32 letters, digits and hyphens, none of these at an end")


def require_events(given: Iterable[object]) -> None:
    """Tell a class of events from one of them."""
    for one in given:
        if isinstance(one, Event):
            name = type(one).__name__
            raise TypeError(f"publishes=[{name}(...)] is no class of events: give {name}")
        if not (isinstance(one, type) and issubclass(one, Event)):
            raise TypeError(f"publishes=[{getattr(one, '__name__', one)}] is no class of events")


def require_right(service: "Service") -> None:
    """Judge all that a service was given."""
    _require_brokers(service)
    _require_whole(service)
    _require_names(service)
    _require_room(service)
    _require_outcomes(service)


def _require_brokers(service: "Service") -> None:
    missing = {channel.transport.value for channel in service.channels()} - service.brokers.keys()
    if missing:
        raise TypeError(f"service {service.name} has channels on {', '.join(sorted(missing))}, but no such broker")
    mute = {c.transport.value for c in service.consumed() if not hasattr(service.brokers[c.transport], "subscribe")}
    if mute:
        raise TypeError(f"service {service.name} takes events from {', '.join(sorted(mute))}, which only sends")


def _require_whole(service: "Service") -> None:
    """What an event's class statement leaves out is found out before the first one is published."""
    for event in sorted(service.publishes, key=lambda event: event.__name__):
        given = {"type": event.type, "channels": event.channels, "key": event.key_field}
        if lacking := [name for name, value in given.items() if not value]:
            raise TypeError(f"{event.__name__} has no {', '.join(lacking)}: name them in its class statement")


def _require_names(service: "Service") -> None:
    """Names tell handlers apart in the inbox, and events on the wire: one of two would pass for the other."""
    names = [route.name for route in service.routes] + [event.type for event in service.publishes]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise TypeError(
            f"service {service.name} has {', '.join(sorted(twice))} twice: give one of the two another name"
        )


def _require_room(service: "Service") -> None:
    """What an outbox cannot keep can never be sent; what is only taken has room wherever it comes from."""
    most: int | None = getattr(service.store, "max_event_bytes", None)
    channels = channels_of(service.publishes)
    if most is not None and (large := sorted(channel.name for channel in channels if channel.max_bytes > most)):
        what = f"{', '.join(large)} with max_bytes above {most}, the most that an outbox on {service.store.name} keeps"
        raise TypeError(f"service {service.name} publishes to {what}")


def _require_outcomes(service: "Service") -> None:
    """What an effect cannot publish is found out before it is run, not after."""
    for route in service.routes:
        if route.is_effect and (strange := route.outcomes() - service.publishes):
            names = ", ".join(sorted(event.__name__ for event in strange))
            raise TypeError(f"{route.name} returns {names}: not declared in Service(publishes=...)")
