"""One unit of work: state, events, timers and the mark that it was done commit together or not at all."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from corelib.clock import Clock
from corelib.errors import Forgotten, InvalidEvent, Malformed
from corelib.ids import uuid7
from corelib.message import Channel, Envelope, Event, Record

MAX_EVENT_BYTES = 256 * 1024


REMEMBER = timedelta(days=14)
"""Twice Kafka's default retention: a record outlives it until its segment is closed, by default a week later."""
CLOCKS_DIFFER = timedelta(days=1)
"""What the clocks of two machines may be apart: a mark is kept for so much longer than it is asked for."""


@dataclass(frozen=True)
class Mark:
    """That work was done: an inbox mark (scope = handler) or an idempotency key (scope = route and caller).

    `made` is the event's own time, the same in each delivery and replay; a caller's key has none.
    """

    scope: str
    id: str
    made: datetime | None = None


@dataclass(frozen=True)
class Timer:
    """A handle on a scheduled event, enough to cancel it; keep it with the state (`str(timer.id)`)."""

    id: UUID


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
    max_event_bytes: int = MAX_EVENT_BYTES
    remember: timedelta = REMEMBER

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

    def publish(self, event: Event) -> UUID:
        """Send an event on each of its channels if, and only if, this transaction commits; return its id.

        Raises `InvalidEvent` for an event the service did not declare, an empty key or an oversized body.
        """
        envelope, records = self._records(event, self.origin.clock.now())
        self.outgoing.extend(records)
        return envelope.id

    def schedule(self, event: Event, *, at: datetime) -> Timer:
        """Publish an event at a later time, durably: once, not before `at`. Raises as `publish` does.

        Its CloudEvents time is `at`: that is when it happens, and what the inbox counts its age from.
        """
        envelope, records = self._records(event, max(at, self.origin.clock.now()))
        timer = Timer(uuid7())
        self.scheduled.append(Scheduled(timer, at, envelope, tuple(records)))
        return timer

    def cancel(self, timer: Timer) -> None:
        """Undo a timer if it has not fired yet; a fired or unknown timer is no error."""
        self.cancelled.append(timer)

    def remember(self, body: bytes) -> None:
        """Keep a result with the mark: a duplicate of this work is answered with it."""
        self.remembered = body

    def _records(self, event: Event, time: datetime) -> tuple[Envelope, list[Record]]:
        kind = type(event)
        if kind not in self.origin.publishes:
            raise InvalidEvent(f"{kind.__name__} is not declared in Service(publishes=...)")
        if not event.key:
            raise InvalidEvent(f"{kind.__name__}.{kind.key_field} is the event's key and must not be empty")
        if "\0" in event.key:
            raise InvalidEvent(f"{kind.__name__}.{kind.key_field} contains the character NUL, which no key may have")
        payload = event.model_dump_json().encode()
        if len(payload) > self.origin.max_event_bytes:
            raise InvalidEvent(f"{kind.__name__} has {len(payload)} bytes; the limit is {self.origin.max_event_bytes}")
        envelope = Envelope(
            id=uuid7(),
            type=kind.type,
            source=self.origin.source,
            time=time,
            key=event.key,
            traceparent=self.traceparent,
        )
        return envelope, [envelope.record(channel.name, payload) for channel in kind.channels]

    @abstractmethod
    async def commit(self) -> None:
        """Write everything. Raises `Duplicate`, `Conflict` or `Unavailable`; called by the store only."""


def channels_of(events: frozenset[type[Event]]) -> frozenset[Channel]:
    """Return every channel that these events travel on."""
    return frozenset(channel for event in events for channel in event.channels)
