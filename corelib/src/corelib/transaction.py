"""One unit of work: state, events, timers and the mark that it was done commit together or not at all."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from corelib.clock import Clock
from corelib.errors import InvalidEvent
from corelib.ids import uuid7
from corelib.message import Channel, Envelope, Event, Record

MAX_EVENT_BYTES = 256 * 1024


@dataclass(frozen=True)
class Mark:
    """That work was done: an inbox mark (scope = handler) or an idempotency key (scope = route and caller)."""

    scope: str
    id: str
    keep: timedelta = timedelta(days=7)


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
    """Where a transaction's events come from: CloudEvents source, clock, and what the service may publish."""

    source: str
    clock: Clock
    publishes: frozenset[type[Event]]
    max_event_bytes: int = MAX_EVENT_BYTES


class Transaction(ABC):
    """The only place that can publish. Buffers events and timers; the store writes them just before COMMIT."""

    def __init__(self, origin: Origin, mark: Mark | None, traceparent: str | None) -> None:
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
        envelope, records = self._records(event)
        self.outgoing.extend(records)
        return envelope.id

    def schedule(self, event: Event, *, at: datetime) -> Timer:
        """Publish an event at a later time, durably: once, not before `at`. Raises as `publish` does."""
        envelope, records = self._records(event)
        timer = Timer(uuid7())
        self.scheduled.append(Scheduled(timer, at, envelope, tuple(records)))
        return timer

    def cancel(self, timer: Timer) -> None:
        """Undo a timer if it has not fired yet; a fired or unknown timer is no error."""
        self.cancelled.append(timer)

    def remember(self, body: bytes) -> None:
        """Keep a result with the mark: a duplicate of this work is answered with it."""
        self.remembered = body

    def _records(self, event: Event) -> tuple[Envelope, list[Record]]:
        kind = type(event)
        if kind not in self.origin.publishes:
            raise InvalidEvent(f"{kind.__name__} is not declared in Service(publishes=...)")
        if not event.key:
            raise InvalidEvent(f"{kind.__name__}.{kind.key_field} is the event's key and must not be empty")
        payload = event.model_dump_json().encode()
        if len(payload) > self.origin.max_event_bytes:
            raise InvalidEvent(f"{kind.__name__} has {len(payload)} bytes; the limit is {self.origin.max_event_bytes}")
        envelope = Envelope(
            id=uuid7(),
            type=kind.type,
            source=self.origin.source,
            time=self.origin.clock.now(),
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
