"""A broker in memory: for a service that starts alone, for tests in milliseconds, for the simulation."""

from collections.abc import Awaitable, Callable, Sequence

from corelib.broker import Outgoing, Refused, Subscription
from corelib.errors import LeaseLost, NeverTaken, Unavailable
from corelib.headers import unpack
from corelib.history import History, Past
from corelib.memory.cluster import Cluster
from corelib.memory.history import MemoryTopics
from corelib.memory.link import Direct, Link
from corelib.memory.subscription import MemorySubscription
from corelib.message import Channel, Record, Transport


class MemoryBroker:
    """Implements `Broker` and `LogBroker`; several may share a `cluster`, as the processes around a Kafka do.

    It stands in for Kafka; `corelib.memory.queues` does for SQS.
    """

    name = Transport.KAFKA.value

    def __init__(
        self,
        cluster: Cluster | None = None,
        *,
        link: Link | None = None,
        exactly_once: bool = True,
        client: str = "client",
    ) -> None:
        self.cluster = cluster or Cluster()
        self._link = link or Direct()
        self._exactly_once = exactly_once
        self._client = client

    async def open(self) -> None:
        """Connect. Raises `Unavailable`."""
        await self.check()

    async def close(self) -> None:
        """Nothing is left behind to flush."""

    async def check(self) -> None:
        """Raise `Unavailable` unless a record could be sent now."""
        await self._link.call("check", lambda: None)

    async def missing(self, channels: Sequence[Channel]) -> Sequence[str]:  # noqa: ARG002 -- they are made when used
        """Return the names of the channels that do not exist: none."""
        return ()

    async def provision(self, channels: Sequence[Channel]) -> None:
        """Create missing channels; idempotent."""
        await self._link.call("provision", lambda: self.cluster.provision(channels))

    async def send(self, records: Sequence[Record]) -> Sequence[bool | Refused]:
        """Send all, per channel and key in order; a key stops at its first failure. Raises `Unavailable`."""
        return await send_in_order(records, self._send_one)

    def subscribe(self, group: str, channels: Sequence[Channel]) -> Subscription:
        """Return a consumer group's subscription, not yet open."""
        member = f"{self._client}-{next(self.cluster.members)}"
        return MemorySubscription(self.cluster, self._link, group, channels, member)

    def log(self, name: str) -> "MemoryLogSink":
        """Return a producer for one outbox that is a log; `name` is unique to it."""
        return MemoryLogSink(self.cluster, self._link, name, exactly_once=self._exactly_once)

    def history(self, channels: Sequence[Channel]) -> History:
        """Return what these channels still hold."""
        return MemoryTopics(self.cluster, self._link, channels)

    def past(self) -> list[Past]:
        """Return what the topics hold."""
        partitions = self.cluster.partitions.values()
        return [past for partition in partitions for past in partition.past(0, len(partition.log))]

    async def _send_one(self, record: Record) -> bool | Refused:
        limit = self.cluster.max_record_bytes
        if len(record.payload) > limit:
            return Refused(f"it has {len(record.payload)} bytes; the limit is {limit}")
        await self._link.call("send", lambda: self.cluster.append([record]))
        return True


async def send_in_order(
    records: Sequence[Record], send_one: Callable[[Record], Awaitable[bool | Refused]]
) -> Sequence[bool | Refused]:
    """Send all; what is behind a failed one of its channel and key is not. Raises `Unavailable` if nothing was sent."""
    sent: list[bool | Refused] = [False] * len(records)
    failure: Unavailable | None = None
    failed: set[tuple[str, str]] = set()
    for number, record in enumerate(records):
        stream = (record.channel, record.key)
        if stream in failed:
            continue
        try:
            sent[number] = await send_one(record)
        except Unavailable as error:
            failure = error
        if not sent[number]:
            failed.add(stream)
    if failure is not None and not any(sent):
        raise failure
    return sent


class MemoryLogSink:
    """Implements `LogSink`."""

    def __init__(self, cluster: Cluster, link: Link, name: str, *, exactly_once: bool) -> None:
        self._cluster = cluster
        self._link = link
        self._name = name
        self._exactly_once = exactly_once
        self._epoch: int | None = None
        self._receipt = b""

    @property
    def keeps_receipts(self) -> bool:
        """Whether the position goes along with the rows."""
        return self._exactly_once

    async def begin(self) -> bytes | None:
        """Shut out whoever sent under this name before, return the receipt of its last transaction."""
        self._epoch = None
        self._epoch, receipt = await self._link.call("begin", lambda: self._cluster.begin(self._name))
        return receipt if self._exactly_once else None

    async def send(self, rows: Sequence[Outgoing], receipt: bytes) -> None:
        """Send all; all are acknowledged, or `Unavailable`, `LeaseLost` or `NeverTaken` is raised: `begin` again."""
        epoch = self._epoch
        if epoch is None:
            raise Unavailable("memory", "not connected")
        limit = self._cluster.max_record_bytes
        if refused := [row for row in rows if len(row[4]) > limit]:
            self._epoch = None
            raise NeverTaken(refused, f"it has {len(refused[0][4])} bytes; the limit is {limit}")
        records = [Record(row[0], row[1], unpack(row[3]), row[4]) for row in rows]
        self._receipt = receipt
        if self._exactly_once:
            await self._call("send", lambda: self._cluster.send(self._name, epoch, records))
        else:
            await self._call("send", lambda: self._cluster.append(records))

    async def commit(self) -> None:
        """Show what was sent to everybody. Raises as `send` does."""
        epoch = self._epoch
        if epoch is None:
            raise Unavailable("memory", "not connected")
        if self._exactly_once:
            await self._call("commit", lambda: self._cluster.commit(self._name, epoch, self._receipt))

    async def _call(self, what: str, work: Callable[[], None]) -> None:
        try:
            await self._link.call(what, work)
        except (Unavailable, LeaseLost):
            self._epoch = None
            raise

    async def close(self) -> None:
        """Disconnect."""
        self._epoch = None
