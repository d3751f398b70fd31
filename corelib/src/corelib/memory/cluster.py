"""The server half of the broker in memory: partitions, transactional producers, consumer groups, as in Kafka."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from aiokafka.partitioner import murmur2

from corelib.clock import Clock, SystemClock
from corelib.errors import LeaseLost, Unavailable
from corelib.history import Past
from corelib.memory.group import Group
from corelib.message import Channel, Record

Place = tuple[str, int]
"""A channel and the number of a partition."""


@dataclass(eq=False)
class Sending:
    """A producer's transaction; `committed` is None while it is open."""

    committed: bool | None = None


_AT_ONCE = Sending(committed=True)


@dataclass
class Producer:
    """Who sends under a name: the epoch counts them, and only the last one may."""

    epoch: int = 0
    receipt: bytes | None = None
    open: Sending | None = None


@dataclass
class Partition:
    """Records in order, each with the transaction that it came in, and when it came."""

    log: list[tuple[Record, Sending, datetime]] = field(default_factory=list)

    def stable(self) -> int:
        """Return the first offset that an open transaction holds back (the last stable offset)."""
        return next((at for at, (_, sending, _) in enumerate(self.log) if sending.committed is None), len(self.log))

    def read(self, start: int, limit: int) -> tuple[list[tuple[int, Record]], int]:
        """Return what `read_committed` sees from an offset on, and the offset to go on from."""
        end = min(self.stable(), start + limit)
        seen = [(at, self.log[at][0]) for at in range(start, end) if self.log[at][1].committed]
        return seen, max(start, end)

    def past(self, start: int, end: int) -> list[Past]:
        """Return what is committed between two offsets."""
        return [Past(record, written) for record, sending, written in self.log[start:end] if sending.committed]


class Cluster:
    """What outlives a client. Unknown channels are made at their first use, with their declared partitions if known."""

    def __init__(self, *, clock: Clock | None = None, max_record_bytes: int = 1_000_000) -> None:
        self.clock = clock or SystemClock()
        self.arrived = asyncio.Event()
        self.partitions: dict[Place, Partition] = {}
        self.producers: dict[str, Producer] = {}
        self.members = count(1)
        self._counts: dict[str, int] = {}
        self._groups: dict[str, Group] = {}
        self.max_record_bytes = max_record_bytes

    def provision(self, channels: Sequence[Channel]) -> None:
        """Create missing channels."""
        for channel in channels:
            self._create(channel.name, channel.partitions)

    def places(self, channels: Sequence[Channel]) -> list[Place]:
        """Return the partitions of some channels."""
        self.provision(channels)
        return [(channel.name, n) for channel in channels for n in range(self._counts[channel.name])]

    def append(self, records: Sequence[Record]) -> None:
        """Store records that belong to no transaction."""
        self._append(records, _AT_ONCE)

    def begin(self, name: str) -> tuple[int, bytes | None]:
        """Shut out whoever sent under this name; return the new epoch and the receipt of the last transaction."""
        producer = self.producers.setdefault(name, Producer())
        producer.epoch += 1
        self._finish(producer, committed=False)
        return producer.epoch, producer.receipt

    def send(self, name: str, epoch: int, records: Sequence[Record]) -> None:
        """Store records in the producer's open transaction. Raises `LeaseLost` for a former producer."""
        producer = self._producer(name, epoch)
        producer.open = producer.open or Sending()
        self._append(records, producer.open)

    def commit(self, name: str, epoch: int, receipt: bytes) -> None:
        """End the open transaction: its records are seen, its receipt is kept. Raises `LeaseLost`."""
        producer = self._producer(name, epoch)
        if producer.open is None:
            raise Unavailable("memory", "there is no open transaction")
        producer.receipt = receipt
        self._finish(producer, committed=True)

    def fetch(
        self, positions: Mapping[Place, int], limit: int
    ) -> tuple[list[tuple[Place, int, Record]], dict[Place, int]]:
        """Return committed records from some positions on, and where to go on."""
        found: list[tuple[Place, int, Record]] = []
        following: dict[Place, int] = {}
        for place, start in positions.items():
            seen, following[place] = self.partitions[place].read(start, limit)
            found += ((place, at, record) for at, record in seen)
        return found, following

    def ends(self, places: Sequence[Place]) -> dict[Place, int]:
        """Return the last stable offset of each partition."""
        return {place: self.partitions[place].stable() for place in places}

    def group(self, name: str) -> Group:
        """Return a consumer group, made at its first use."""
        return self._groups.setdefault(name, Group(self.clock))

    def _create(self, channel: str, partitions: int) -> None:
        if channel not in self._counts:
            self._counts[channel] = partitions
            self.partitions.update({(channel, n): Partition() for n in range(partitions)})

    def _append(self, records: Sequence[Record], sending: Sending) -> None:
        now = self.clock.now()
        for record in records:
            if len(record.payload) > self.max_record_bytes:
                raise Unavailable("memory", f"a record for {record.channel} exceeds {self.max_record_bytes} bytes")
            self._create(record.channel, 4)
            number = (murmur2(record.key.encode()) & 0x7FFF_FFFF) % self._counts[record.channel]
            self.partitions[record.channel, number].log.append((record, sending, now))
        if sending.committed:
            self._announce()

    def _finish(self, producer: Producer, *, committed: bool) -> None:
        sending, producer.open = producer.open, None
        if sending is not None:
            sending.committed = committed
            self._announce()

    def _producer(self, name: str, epoch: int) -> Producer:
        producer = self.producers[name]
        if producer.epoch != epoch:
            raise LeaseLost(f"another relay sends under the name {name}")
        return producer

    def _announce(self) -> None:
        self.arrived.set()
        self.arrived = asyncio.Event()
