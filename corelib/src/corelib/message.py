"""Events, commands and the channels they travel on.

An event is a pydantic model that names its channels and its key; on the wire it is a CloudEvent 1.0 in binary
mode: attributes as `ce_*` headers, the model's JSON as the body (https://cloudevents.io, Kafka protocol binding).
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from corelib.errors import Malformed

E = TypeVar("E", bound="Event")
KEY_ATTRIBUTE = "ce_partitionkey"
"""The attribute by which SQS carries the key (CloudEvents' partitioning extension)."""


class Transport(StrEnum):
    """What carries a channel."""

    KAFKA = "kafka"
    SQS = "sqs"


MAX_BYTES = {Transport.KAFKA: 896_000, Transport.SQS: 256 * 1024}
"""The most that `Channel.max_bytes` may be: a batch of the relay's around one record, a message of SQS."""
MAX_RECEIVES = 100
"""What `Channel.max_receives` is unless it is given; Terraform's module of a queue has the same."""
_MOST_RECEIVES = 1000  # of SQS
_NAMES = {
    Transport.KAFKA: (
        re.compile(r"(?!\.{1,2}\Z)[a-zA-Z0-9._-]{1,249}\Z"),
        "a topic's name has 1 to 249 letters of ASCII, digits, dots, underscores and hyphens, and is not '.' or '..'",
    ),
    Transport.SQS: (
        re.compile(r"(?=.{1,80}\Z)[a-zA-Z0-9_-]+(\.fifo)?\Z"),
        "a queue's name has 1 to 80 letters of ASCII, digits, underscores and hyphens; a FIFO queue ends in .fifo",
    ),
}
"""What a channel may be called, and how that is said."""


@dataclass(frozen=True)
class Channel:
    """A Kafka topic or an SQS queue, by its logical name (settings may prefix it).

    `max_bytes` is what an event may have, its attributes included: `publish` refuses more. By default it is what every
    store and transport takes. `max_receives` is how often a queue gives a message out before it is a dead letter. A
    consumer parks poison itself, and gives back unhandled what it has in hand when it stops: by default only what ends
    its consumer each time gets there. For a function (Lambda), which has no parking lot, say how often it is to try.
    """

    name: str
    transport: Transport = Transport.KAFKA
    partitions: int = 4
    compacted: bool = False
    max_bytes: int = 256 * 1024
    max_receives: int = MAX_RECEIVES

    def __post_init__(self) -> None:
        """Raise `TypeError` for a name that the transport would refuse, or a limit that it cannot keep."""
        legal, said = _NAMES[self.transport]
        if not legal.match(self.name):
            raise TypeError(f"channel {self.name!r}: {said}")
        most = MAX_BYTES[self.transport]
        if not 0 < self.max_bytes <= most:
            what = f"max_bytes is {self.max_bytes}, but may be 1 to {most} on {self.transport}"
            raise TypeError(f"channel {self.name}: {what}")
        if not 1 <= self.max_receives <= _MOST_RECEIVES:
            what = f"max_receives is {self.max_receives}, but may be 1 to {_MOST_RECEIVES}"
            raise TypeError(f"channel {self.name}: {what}")


class Command(BaseModel):
    """What a caller asks for: frozen, unknown fields and types other than JSON's own for a field refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Event(BaseModel):
    """A fact, in the past tense: frozen; unknown fields are ignored so that producers may add some.

    `class OrderPlaced(Event, type="souk.order.placed.v1", channels=(ORDERS,), key="order_id"): ...`
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: ClassVar[str] = ""
    channels: ClassVar[tuple[Channel, ...]] = ()
    key_field: ClassVar[str] = ""

    def __init_subclass__(
        cls,
        *,
        type: str = "",  # noqa: A002 -- CloudEvents' own name for it
        channels: tuple[Channel, ...] = (),
        key: str = "",
        **kwargs: Any,
    ) -> None:
        """Take the CloudEvents type, the channels and the name of the key field from the class statement."""
        super().__init_subclass__(**kwargs)
        cls.type, cls.channels, cls.key_field = type, channels, key

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Raise `TypeError` for a key that is no field. Called by pydantic once it knows the fields."""
        super().__pydantic_init_subclass__(**kwargs)
        if cls.key_field and cls.key_field not in cls.model_fields:
            raise TypeError(f"{cls.__name__} has no field {cls.key_field!r} to be its key, only {[*cls.model_fields]}")

    @property
    def key(self) -> str:
        """The ordering key: events of equal key are handled one after another, in order of commit."""
        return str(getattr(self, self.key_field))


class Record(NamedTuple):
    """One event on one channel as it is stored in the outbox and travels on the wire."""

    channel: str
    key: str
    headers: tuple[tuple[str, str], ...]
    payload: bytes

    def header(self, name: str) -> str | None:
        """Return the first header of that name."""
        return next((value for header, value in self.headers if header == name), None)


class Envelope(NamedTuple):
    """What a handler may know of an event besides its data: CloudEvents attributes and trace context."""

    id: UUID
    type: str
    source: str
    time: datetime
    key: str
    traceparent: str | None = None

    def record(self, channel: str, payload: bytes) -> Record:
        """Return the wire form on one channel."""
        headers = [
            ("ce_specversion", "1.0"),
            ("ce_id", str(self.id)),
            ("ce_type", self.type),
            ("ce_source", self.source),
            ("ce_time", self.time.isoformat()),
            ("content-type", "application/json"),
        ]
        if self.traceparent:
            headers.append(("traceparent", self.traceparent))
        return Record(channel, self.key, tuple(headers), payload)

    def age(self, now: datetime) -> float:
        """Return how many seconds ago it was made; 0.0 where clocks differ so much that it is yet to come."""
        return max(0.0, (now - self.time).total_seconds())

    @classmethod
    def of(cls, record: Record) -> Self:
        """Read the attributes from a record's headers; raise `Malformed` where one is missing or wrong."""
        headers = dict(record.headers)
        try:
            return cls(
                id=UUID(headers["ce_id"]),
                type=headers["ce_type"],
                source=headers["ce_source"],
                time=_moment(headers["ce_time"]),
                key=record.key,
                traceparent=headers.get("traceparent"),
            )
        except (KeyError, ValueError) as error:
            raise Malformed(f"not a CloudEvent in binary mode: {error!r}") from error


def _moment(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"ce_time {text} has no offset, which RFC 3339 demands")
    return time


def parse(record: Record, kind: type[E]) -> E:
    """Return the event in a record's body; raise `Malformed` naming the fields that are wrong."""
    try:
        return kind.model_validate_json(record.payload)
    except ValidationError as error:
        raise Malformed(f"not a {kind.type}: {error.errors(include_url=False, include_input=False)}") from error
