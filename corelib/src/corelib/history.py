"""What was sent before and is still kept: by an outbox, a Kafka topic, or a parking lot. Replay reads it in pages."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict

from corelib.errors import Malformed
from corelib.message import Envelope, Record

Place = Mapping[str, Any]
"""Where a history can be gone on with; JSON, and its meaning is its history's."""

REPLAY_HEADER = "ce_replayid"
"""The header (a CloudEvents extension) that names the replay which sent a record again."""


@dataclass(frozen=True, slots=True)
class Past:
    """A record, and when it was committed (in an outbox) or written (to a topic)."""

    record: Record
    time: datetime

    @property
    def name(self) -> tuple[str, str]:
        """The channel, and the id of the event."""
        return self.record.channel, self.record.header("ce_id") or ""


class Selection(BaseModel):
    """Which records are meant: those that satisfy all that is given, each by any of its values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: frozenset[str]
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    types: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    traces: frozenset[str] = frozenset()

    def wants(self, past: Past) -> bool:
        """Tell whether a record is meant. What is no event is not, nor what a replay has sent: the first is there."""
        record = past.record
        try:
            event = Envelope.of(record)
        except Malformed:
            return False
        return (
            record.channel in self.channels
            and (self.since is None or self.since <= past.time)
            and (self.until is None or past.time < self.until)
            and (not self.types or event.type in self.types)
            and (not self.keys or record.key in self.keys)
            and (not self.traces or _trace(event) in self.traces)
            and record.header(REPLAY_HEADER) is None
        )


@dataclass(frozen=True)
class Page:
    """Records that are meant, per key in order of commit, and where to go on once they are dealt with."""

    records: Sequence[Past]
    place: Place


class History(Protocol):
    """What replay reads: each store has one of its outbox, Kafka of its topics, a parking lot of what is parked."""

    def pages(self, selection: Selection, after: Place | None = None) -> AsyncIterator[Page]:
        """Yield what was delivered and is still kept, up to now; pages may be empty. Raises `Unavailable`."""
        ...


def sending_of(record: Record) -> str | None:
    """Return what tells one sending of an event from another, or None for what is no event.

    A queue that drops repetitions must not take a replay for one; a replay that is gone on with does repeat itself.
    """
    event, replay = record.header("ce_id"), record.header(REPLAY_HEADER)
    return f"{event}/{replay}" if event and replay else event


def _trace(event: Envelope) -> str | None:
    """Return the trace id out of a W3C traceparent."""
    return event.traceparent.split("-")[1] if event.traceparent and event.traceparent.count("-") == 3 else None  # noqa: PLR2004 -- version-trace-span-flags
