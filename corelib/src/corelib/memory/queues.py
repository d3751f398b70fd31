"""Queues in memory: for a service that starts alone, and for tests in milliseconds."""

from collections.abc import Sequence

from corelib.broker import Refused, Subscription
from corelib.headers import pack
from corelib.history import Past
from corelib.memory.broker import send_in_order
from corelib.memory.link import Direct, Link
from corelib.memory.queue_server import QueueServer
from corelib.memory.queue_subscription import MemoryQueueSubscription
from corelib.message import MAX_BYTES, Channel, Record, Transport


class MemoryQueues:
    """Implements `Broker`, in the place of SQS; several may share a `server`, as replicas do."""

    name = Transport.SQS.value

    def __init__(self, server: QueueServer | None = None, *, link: Link | None = None) -> None:
        self.server = server or QueueServer()
        self._link = link or Direct()

    async def open(self) -> None:
        """Connect. Raises `Unavailable`."""
        await self.check()

    async def close(self) -> None:
        """Nothing is left behind to flush."""

    async def check(self) -> None:
        """Raise `Unavailable` unless a record could be sent now."""
        await self._link.call("check", lambda: None)

    async def missing(self, channels: Sequence[Channel]) -> Sequence[str]:  # noqa: ARG002 -- they are made when used
        """Return the names of the queues that do not exist: none."""
        return ()

    async def provision(self, channels: Sequence[Channel]) -> None:
        """Create missing queues; idempotent."""
        await self._link.call("provision", lambda: [self.server.queue(channel.name) for channel in channels])

    async def send(self, records: Sequence[Record]) -> Sequence[bool | Refused]:
        """Send all, per channel and key in order; a key stops at its first failure. Raises `Unavailable`."""
        return await send_in_order(records, self._send_one)

    def subscribe(self, group: str, channels: Sequence[Channel]) -> Subscription:  # noqa: ARG002 -- see below
        """Return a subscription, not yet open. All who take from a queue are one group: `group` names nothing here."""
        return MemoryQueueSubscription(self.server, self._link, [channel.name for channel in channels])

    def past(self) -> list[Past]:
        """Return what lies in the queues: what nobody has deleted."""
        return [Past(each.record, each.sent) for queue in self.server.queues.values() for each in queue.messages]

    async def _send_one(self, record: Record) -> bool | Refused:
        size, limit = len(record.payload) + len(pack(record.headers)), MAX_BYTES[Transport.SQS]
        if size > limit:
            return Refused(f"it has {size} bytes; the limit is {limit}")
        await self._link.call("send", lambda: self.server.send(record))
        return True
