"""One unit of work: state, events, timers and the mark that it was done commit together or not at all."""

import re
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from corelib.clock import Clock
from corelib.errors import Forgotten, InvalidEvent, Malformed, TooLarge
from corelib.ids import uuid7
from corelib.message import KEY_ATTRIBUTE, Channel, Envelope, Event, Record, Transport

MAX_KEY_BYTES = 1_024
MAX_ANSWER_BYTES = 360_000
"""The most that is kept with a mark: what an item of DynamoDB has room for beside it; so on every store."""
# Below the limit by this much there is nothing to count.
_ROOMY_BYTES = 8 * 1024
# So many wrong fields are told of an event that has more.
_NAMED = 5
# What is no character of XML 1.0: SQS takes none of it, PostgreSQL no NUL, UTF-8 no lone surrogate.
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


REMEMBER = timedelta(days=14)
"""Twice Kafka's default retention: a record outlives it until its segment is closed, by default a week later."""
CLOCKS_DIFFER = timedelta(days=1)
"""What the clocks of two machines may be apart: a mark is kept for so much longer than it is asked for."""


class Mark(NamedTuple):
    """That work was done: an inbox mark (scope = handler) or an idempotency key (scope = route and caller).

    `made` is the event's own time, the same in each delivery and replay; a caller's key has none.
    """

    scope: str
    id: str
    made: datetime | None = None


@dataclass(frozen=True)
class Timer:
    """A handle on a scheduled event, enough to cancel it; keep it with the state (`str(timer.id)`).

    `Timer(UUID(kept))` is the same again. Raises `TypeError` for what is no UUID, which no store would find.
    """

    id: UUID

    def __post_init__(self) -> None:
        """Judge the id."""
        if not isinstance(self.id, UUID):
            raise TypeError(f"a timer's id is a UUID, not {self.id!r}: Timer(UUID(...))")


@dataclass(frozen=True)
class Scheduled:
    """An event that becomes due."""

    timer: Timer
    at: datetime
    envelope: Envelope
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Origin:
    """Where a transaction's events come from: CloudEvents source, clock, and what the service may publish.

    `remember` is how long the inbox tells a repetition; it must exceed what a broker keeps.
    """

    source: str
    clock: Clock
    publishes: frozenset[type[Event]]
    remember: timedelta = REMEMBER

    @cached_property
    def transports(self) -> Mapping[str, str | None]:
        """Return by what each channel travels; None for a name that has two."""
        found: dict[str, str | None] = {}
        for channel in channels_of(self.publishes):
            other = found.get(channel.name, channel.transport.value) != channel.transport.value
            found[channel.name] = None if other else channel.transport.value
        return found

    def require_remembered(self, mark: Mark | None) -> None:
        """Raise `Forgotten` for an event whose mark may be gone, `Malformed` for one from the future."""
        if mark is None or mark.made is None:
            return
        age = self.clock.now() - mark.made
        if age > self.remember:
            raise Forgotten(
                f"event {mark.id} was made at {mark.made.isoformat()}; the inbox remembers {self.remember.days} days,"
                f" so it cannot tell whether {mark.scope} has handled it"
            )
        if -age > CLOCKS_DIFFER:
            raise Malformed(f"event {mark.id} says that it was made at {mark.made.isoformat()}, which is yet to come")

    def forgets(self, mark: Mark) -> datetime:
        """Return when a mark may go: not before `require_remembered` refuses its event, by anybody's clock."""
        now = datetime.now(UTC)  # stores forget by the real clock, not by a test's
        return max(now, mark.made or now) + self.remember + CLOCKS_DIFFER


class Transaction(ABC):
    """The only place that can publish. Buffers events and timers; the store writes them just before COMMIT."""

    def __init__(self, origin: Origin, mark: Mark | None, traceparent: str | None) -> None:
        origin.require_remembered(mark)
        self.origin = origin
        self.mark = mark
        self.traceparent = traceparent
        self.outgoing: list[Record] = []
        self.scheduled: list[Scheduled] = []
        self.cancelled: list[Timer] = []
        self.remembered: bytes | None = None
        self.handled: list[Mark] = []
        self._ended = False

    def publish(self, event: Event) -> UUID:
        """Send an event on each of its channels if, and only if, this transaction commits; return its id.

        Raises `InvalidEvent`, naming field and limit, for an event that no channel could carry to a handler: one that
        the service did not declare, that does not validate, without a key or channel. Raises `TooLarge` for one that
        has more than `Channel.max_bytes`. Raises `RuntimeError` behind the end of the transaction.
        """
        envelope, records = self._records(event, self.origin.clock.now())
        self.outgoing.extend(records)
        return envelope.id

    def schedule(self, event: Event, *, at: datetime) -> Timer:
        """Publish an event at a later time, durably: once, not before `at`. Raises as `publish` does.

        Its CloudEvents time is `at`: that is when it happens, and what the inbox counts its age from. Raises
        `TypeError` for a time without a zone.
        """
        if not isinstance(at, datetime) or at.utcoffset() is None:
            raise TypeError(
                f"at is a datetime with a time zone, such as datetime.now(UTC) + timedelta(minutes=5), not {at!r}"
            )
        envelope, records = self._records(event, max(at, self.origin.clock.now()))
        timer = Timer(uuid7())
        self.scheduled.append(Scheduled(timer, at, envelope, tuple(records)))
        return timer

    def cancel(self, timer: Timer) -> None:
        """Undo a timer if it has not fired yet; a fired or unknown timer is no error."""
        self._require_open()
        self.cancelled.append(timer)

    def end(self) -> None:
        """Take nothing more: the block of the transaction is left. Called by the store only."""
        self._ended = True

    def _require_open(self) -> None:
        if self._ended:
            raise RuntimeError("this transaction has ended: what it is to publish belongs within its block")

    def remember(self, body: bytes) -> None:
        """Keep a result with the mark: a duplicate of this work is answered with it.

        Raises `TooLarge`: work whose repetition could not be answered is not done.
        """
        if len(body) > MAX_ANSWER_BYTES:
            raise TooLarge(
                f"an answer of {len(body)} bytes is to be kept with its mark; it may have {MAX_ANSWER_BYTES}"
            )
        self.remembered = body

    def turn_to(self, mark: Mark, traceparent: str | None) -> None:
        """Go on with another event of the same key: its mark is committed too. Raises `Forgotten` or `Malformed`.

        Called by the consumer only, on a store that takes several events `together`.
        """
        self.origin.require_remembered(mark)
        self.handled.append(mark)
        self.traceparent = traceparent

    def _records(self, event: Event, time: datetime) -> tuple[Envelope, list[Record]]:
        self._require_open()
        kind = type(event)
        if kind not in self.origin.publishes:
            raise InvalidEvent(f"{kind.__name__} is not declared in Service(publishes=...)")
        if not kind.channels:
            raise InvalidEvent(f"{kind.__name__} has no channel: name one in its class statement")
        envelope = Envelope(
            id=uuid7(),
            type=kind.type,
            source=self.origin.source,
            time=time,
            key=_key(event),
            traceparent=self.traceparent,
        )
        payload = _payload(event)
        return envelope, [
            self._fitting(kind, channel, envelope.record(channel.name, payload)) for channel in kind.channels
        ]

    def _fitting(self, kind: type[Event], channel: Channel, record: Record) -> Record:
        """Return the record. Raises `TooLarge` or `InvalidEvent` if its channel would not take it."""
        limit = channel.max_bytes
        if len(record.payload) > limit - _ROOMY_BYTES and (size := size_of(record)) > limit:
            raise TooLarge(
                f"{kind.__name__} has {size} bytes with its attributes; {channel.transport} channel {channel.name}"
                f" takes {limit} (Channel.max_bytes)"
            )
        if channel.transport is Transport.SQS and _UNFIT.search(record.payload.decode()):
            raise InvalidEvent(f"{kind.__name__} holds a character that SQS does not take, such as U+FFFF")
        return record

    @abstractmethod
    async def commit(self) -> None:
        """Write everything. Raises `Duplicate`, `Conflict` or `Unavailable`; called by the store only."""


def channels_of(events: frozenset[type[Event]]) -> frozenset[Channel]:
    """Return every channel that these events travel on."""
    return frozenset(channel for event in events for channel in event.channels)


def size_of(record: Record) -> int:
    """Return what SQS counts of a record, the strictest of all: body, key, names, values and types of attributes."""
    attributes = ((KEY_ATTRIBUTE, record.key), *record.headers)
    return len(record.payload) + sum(len(name) + len(value.encode()) + len("String") for name, value in attributes)


def _key(event: Event) -> str:
    """Return an event's key. Raises `InvalidEvent`, naming the field, for one that no store or broker could keep."""
    kind = type(event)
    field = f"{kind.__name__}.{kind.key_field}"
    if not kind.key_field:
        raise InvalidEvent(f"{kind.__name__} has no key: name the field in its class statement")
    # An event that was made without validation may lack the field.
    key = event.key if getattr(event, kind.key_field, None) is not None else ""
    if not key:
        raise InvalidEvent(f"{field} is the event's key and must not be empty")
    if _UNFIT.search(key):
        raise InvalidEvent(f"{field} is the event's key and must be text without control characters, not {key!r}")
    if (size := len(key.encode())) > MAX_KEY_BYTES:
        raise InvalidEvent(f"{field} is the event's key and has {size} bytes; the limit is {MAX_KEY_BYTES}")
    return key


def _payload(event: Event) -> bytes:
    """Return an event as JSON that its handlers can read. Raises `InvalidEvent`, naming the fields, for any other."""
    kind = type(event)
    try:
        # What `model_dump_json` and `model_validate_json` call, without their arguments: half of a small event's time.
        payload = kind.__pydantic_serializer__.to_json(event, warnings="error")
        # The JSON is judged, not the instance: nobody has validated what comes from `model_construct` or `model_copy`,
        # defaults, what was appended to a list later, or what a serializer returns.
        kind.__pydantic_validator__.validate_json(payload)
    except PydanticSerializationError as error:
        raise InvalidEvent(f"{kind.__name__} does not validate: {_unwritable(event, error)}") from error
    except ValidationError as error:
        raise InvalidEvent(f"{kind.__name__} does not validate: {_unreadable(kind, error)}") from error
    return payload


def _unwritable(event: Event, error: PydanticSerializationError) -> str:
    """Say which fields are no JSON, as some of pydantic's messages do not."""
    fields = []
    for name in type(event).model_fields:
        try:
            event.model_dump_json(include={name}, warnings="error")
        except PydanticSerializationError:
            fields.append(name)
    return f"{', '.join(fields)}: {' '.join(str(error).split())}"


def _unreadable(kind: type[Event], error: ValidationError) -> str:
    """Say what a handler would refuse, and what was given, unless the model hides that."""
    shown = not kind.model_config.get("hide_input_in_errors", False)
    found = error.errors(include_url=False, include_context=False)
    said = [
        f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}"
        + (f", not {reprlib.repr(each['input'])}" if shown and each["type"] != "missing" else "")
        for each in found[:_NAMED]
    ]
    return "; ".join(said + [f"and {len(found) - _NAMED} more"] * (len(found) > _NAMED))
