"""What the framework asks of a broker. Kafka, SQS and memory pass one contract suite."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from corelib.history import History
from corelib.message import Channel, Record


class Delivery(NamedTuple):
    """A record as it was received; `position` means something to its broker only."""

    record: Record
    position: object


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a broker will never take a record as it is, whoever tries again; false, as it was not sent."""

    reason: str

    def __bool__(self) -> bool:
        """Count as not sent."""
        return False


class Outgoing(NamedTuple):
    """A record as an outbox's rows hold it; a row of a database driver with these columns first will do as well.

    `hash` is the key's murmur2, by which Kafka's clients choose a partition; `headers` are packed (`corelib.headers`).
    """

    channel: str
    key: str
    hash: int
    headers: bytes
    payload: bytes


class Publisher(Protocol):
    """Sends records, per key in the order given."""

    name: str

    async def open(self) -> None:
        """Connect. Raises `Unavailable`."""
        ...

    async def close(self) -> None:
        """Flush and disconnect."""
        ...

    async def check(self) -> None:
        """Raise `Unavailable` unless a record could be sent now."""
        ...

    async def missing(self, channels: Sequence[Channel]) -> Sequence[str]:
        """Return the names of the topics or queues that do not exist. Raises `Unavailable`."""
        ...

    async def provision(self, channels: Sequence[Channel]) -> None:
        """Create missing topics or queues; idempotent; for local machines and tests."""
        ...

    async def send(self, records: Sequence[Record]) -> Sequence[bool | Refused]:
        """Send all; return for each whether the broker acknowledged it durably, or that it never will.

        A record behind a failed one of the same channel and key is never acknowledged. Raises `Unavailable` when
        nothing could be sent.
        """
        ...


Assigned = Callable[[], Awaitable[None]]


class Subscription(Protocol):
    """A consumer group's share of some channels."""

    sticky: bool
    """Whether all records of a key come to one subscriber, until shares are assigned anew."""

    async def open(self, on_assigned: Assigned | None = None, /) -> None:
        """Join the group. Raises `Unavailable`.

        `on_assigned` is awaited before the first delivery of each newly assigned share, and after whoever had it before
        can no longer say `done`: what is read there holds for the share.
        """
        ...

    def begin(self, delivery: Delivery) -> bool:
        """Say that work on a delivery begins, or goes on; False, and it must not, if it now comes to somebody else."""
        ...

    async def close(self) -> None:
        """Commit what is finished and leave the group."""
        ...

    def stop_taking(self) -> None:
        """End `deliveries`; what was yielded can still be said `done`."""
        ...

    def deliveries(self) -> AsyncIterator[Delivery]:
        """Yield records, per key in order; stops when closed."""
        ...

    async def done(self, delivery: Delivery) -> None:
        """Say that a delivery is handled or parked; commits up to the lowest unfinished one."""
        ...

    async def lag(self) -> dict[str, int]:
        """Return how many records wait, by channel."""
        ...


class Broker(Publisher, Protocol):
    """A publisher that can also be subscribed to."""

    def subscribe(self, group: str, channels: Sequence[Channel]) -> Subscription:
        """Return a consumer group's subscription, not yet open."""
        ...


class LogSink(Protocol):
    """Where an outbox's log goes: rows, and the receipt of their position in the same transaction of the broker."""

    @property
    def keeps_receipts(self) -> bool:
        """Whether receipts are kept; not so in plain mode."""
        ...

    async def begin(self) -> bytes | None:
        """Connect, shut out whoever sent under this name before, return the receipt of its last transaction.

        None when there is none, or in plain mode. Raises `Unavailable`.
        """
        ...

    async def send(self, rows: Sequence[Outgoing], receipt: bytes) -> None:
        """Send all, per key in order; all are acknowledged, or `Unavailable` or `LeaseLost` is raised.

        Raises `NeverTaken` with rows (the very objects) without which the rest may go. After a failure `begin` again.
        """
        ...

    async def commit(self) -> None:
        """Show everybody what was sent, which is not delivered before; nothing in plain mode. Raises as `send` does."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


@runtime_checkable
class LogBroker(Protocol):
    """A broker that is a log, with transactions."""

    def log(self, name: str, *, exactly_once: bool = True) -> LogSink:
        """Return a producer for one outbox that is a log; `name` is unique to it."""
        ...

    def history(self, channels: Sequence[Channel]) -> History:
        """Return what the topics of these channels still hold."""
        ...
