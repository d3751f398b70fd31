"""What the framework asks of a store. PostgreSQL, DynamoDB and memory pass one contract suite."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from corelib.broker import Outgoing
from corelib.history import History
from corelib.message import Record
from corelib.operation import Operations
from corelib.transaction import Mark, Origin, Transaction

CLAIM = timedelta(minutes=1)
"""Who died or hangs keeps others from a parked key, or an operation, for no longer than this."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A committed record that is not yet acknowledged. `position` means something to its store only."""

    position: object
    record: Record


@dataclass(frozen=True)
class Failure:
    """Why a record could not be handled: in a line, and where in the code."""

    reason: str
    traceback: str = ""


@dataclass(frozen=True)
class Parked:
    """A record that could not be handled, or that waits behind one of the same key (then with no attempts).

    Its `id` is a number: the higher, the later it was parked.
    """

    id: str
    handler: str
    record: Record
    reason: str
    traceback: str
    attempts: int
    parked: datetime


@dataclass(frozen=True)
class Queued:
    """How much is parked for one handler."""

    records: int
    oldest: datetime


@dataclass(frozen=True)
class Queue:
    """A key that is parked for a handler: how many records, and of the first one since when, and why.

    `time` is that of its event; None where it is no event, or one so large that it is not looked into.
    """

    handler: str
    key: str
    records: int
    since: datetime
    reason: str
    time: datetime | None


@dataclass(frozen=True)
class RelayState:
    """How a relay stands. `holders` have its lease or a share, each with a sign of life that changes as they renew.

    `lag_seconds` is the age of the oldest event that waits; `place` changes as events are delivered.
    """

    holders: Mapping[str, str]
    lag_seconds: float
    place: str


@dataclass(frozen=True)
class Change:
    """A step of a migration: what it brings, and the statement that does it."""

    summary: str
    statement: str


class OutboxReader(Protocol):
    """One relay's view on the outbox: records of its channels, per key in order of commit."""

    async def acquire(self, holder: str) -> bool:
        """Take or renew the lease; False while another relay holds it. Call again within 5 s to keep it."""
        ...

    async def read(self, limit: int) -> Sequence[Pending]:
        """Return the next committed records after the last acknowledged one; empty when idle."""
        ...

    async def acknowledge(self, records: Sequence[Pending]) -> None:
        """Record that these reached their channel. Raises `LeaseLost` if another relay has taken over."""
        ...

    async def lag_seconds(self) -> float:
        """Return the age of the oldest record not yet acknowledged, 0.0 when there is none."""
        ...

    async def release(self) -> None:
        """Give the lease up, so that a standby takes over at once."""
        ...


@dataclass(frozen=True)
class Chunk:
    """Rows of an outbox that is a log, the position once they are delivered, and that position for the broker.

    `more` tells that others were waiting behind them.
    """

    rows: Sequence[Outgoing]
    after: Any
    receipt: bytes
    more: bool


class LogSource(Protocol):
    """One relay's view on an outbox that is a log. `read` runs ahead of `commit`."""

    async def acquire(self, holder: str) -> bool:
        """Take or renew the lease; False while another relay holds it. Raises `EraChanged` in a restored database."""
        ...

    async def recover(self, receipt: bytes) -> None:
        """Go on behind what a broker has for certain, if that is further than the store knows."""
        ...

    async def read(self, limit: int) -> Chunk | None:
        """Return the next rows behind the last ones read; None when there are none."""
        ...

    async def commit(self, position: Any) -> None:
        """Record that everything up to a position is delivered. Raises `LeaseLost` if another relay took over."""
        ...

    async def passed(self, position: Any) -> None:
        """Do as `commit` does, now or soon, for a position that the broker keeps too: see `LogSink.keeps_receipts`."""
        ...

    async def lag_seconds(self) -> float:
        """Return the age of the oldest row not yet delivered, 0.0 when there is none."""
        ...

    async def release(self) -> None:
        """Give the lease up, so that a standby takes over at once."""
        ...


@runtime_checkable
class LogStore(Protocol):
    """A store whose outbox can be read as a log."""

    def log(self, relay: str, channels: frozenset[str]) -> LogSource:
        """Return a relay's view on the outbox; `relay` names its cursor and lease."""
        ...


class ParkingLot(Protocol):
    """Where poison and what waits behind it is kept: a queue per handler and key, in order.

    A key is parked for a handler exactly as long as its queue is not empty. `append` and `remove` of one queue exclude
    each other, so a record is either appended before the last one is removed, or refused as there is no queue any more.
    """

    async def keys(self) -> frozenset[tuple[str, str]]:
        """Return every handler and key that is parked."""
        ...

    async def park(self, handler: str, record: Record, failure: Failure, *, attempts: int) -> None:
        """Append a record to its key's queue, begun where there is none; once for an event (`ce_id`) and a handler."""
        ...

    async def append(self, handler: str, *records: Record) -> int:
        """Let records of one key wait, in order, at the end of its queue; return how many of the first ones do.

        0 where there is no queue, fewer than all where it ended meanwhile.
        """
        ...

    def claimed(self, handler: str, key: str) -> AbstractAsyncContextManager[bool]:
        """Keep others from sending what waits in a queue during the block; gives False where somebody else does.

        A claim ends with its holder, or by itself after `CLAIM`: what is doubled all the same, marks make harmless.
        """
        ...

    async def list(
        self, handler: str | None = None, key: str | None = None, *, limit: int | None = None, after: int = 0
    ) -> Sequence[Parked]:
        """Return what is parked, in order: all of it, of a handler, or of a handler's key; so many behind that `id`."""
        ...

    async def failed(self, parked: Parked, failure: Failure) -> None:
        """Note one more attempt of a parked record that failed."""
        ...

    async def remove(self, *parked: Parked) -> None:
        """Take records of one queue out that were handled, sent or skipped; with its last the key is parked no longer.

        In as few transactions as the store allows, in the order given.
        """
        ...

    async def queues(self) -> Sequence[Queue]:
        """Return what is parked by handler and key, in the order of their first records; no body is read."""
        ...

    async def sizes(self) -> Mapping[str, Queued]:
        """Return how much is parked, by handler."""
        ...


class Store(Protocol):
    """A database that holds state, outbox, inbox, timers and parked records."""

    name: str
    together: int
    """How many events of a key one transaction handles at most; 1 where that would not make them cheaper."""
    parking: ParkingLot
    operations: Operations

    async def provision(self) -> None:
        """Create or upgrade tables; idempotent; for local machines, tests and migration jobs."""
        ...

    async def migrate(self, *, dry_run: bool = False) -> Sequence[Change]:
        """Bring corelib's own tables up to date; return what was done, or with `dry_run` what would be."""
        ...

    async def open(self, origin: Origin) -> None:
        """Connect. Raises `Unavailable`."""
        ...

    async def close(self) -> None:
        """Give every connection back."""
        ...

    async def check(self) -> None:
        """Raise `Unavailable` unless a transaction could commit now."""
        ...

    def transaction(
        self, *, mark: Mark | None = None, traceparent: str | None = None
    ) -> AbstractAsyncContextManager[Transaction]:
        """Open a unit of work: commits at the end of the block, rolls back on an exception.

        Raises `Forgotten` when the mark is of an event older than the inbox remembers; at commit `Duplicate` when the
        mark exists, `Conflict` when it should be run again.
        """
        ...

    async def recall(self, mark: Mark) -> tuple[bool, bytes | None]:
        """Return whether a mark is committed, and what was remembered with it. Raises `Forgotten`."""
        ...

    def outbox(self, relay: str, channels: frozenset[str]) -> OutboxReader:
        """Return a relay's reader over these channels; `relay` names its cursor and lease."""
        ...

    async def relay_state(self, relay: str, channels: frozenset[str]) -> RelayState:
        """Return how a relay stands."""
        ...

    def history(self, relay: str) -> History:
        """Return what a relay has delivered and the outbox still keeps."""
        ...

    async def fire(self, limit: int) -> int:
        """Move due timers into the outbox, each atomically; return how many fired."""
        ...

    async def overdue_seconds(self) -> float:
        """Return for how long the timer has been due that is due the longest, 0.0 where none is."""
        ...

    def committed(self) -> "Wake":
        """Return the in-process signal that a transaction with events has just committed."""
        ...


class Wake(Protocol):
    """A signal that lets the relay sleep until there is work."""

    def set(self) -> None:
        """Wake the sleeper."""
        ...

    async def wait(self, timeout: float) -> None:  # noqa: ASYNC109 -- a bounded sleep, not a cancelled call
        """Return at the next signal, or after `timeout` seconds; a signal is taken by one wait."""
        ...
