"""Faults that were put into corelib on purpose: the simulation must find each, or its silence would mean nothing."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from corelib.broker import Outgoing, Subscription
from corelib.consumer.consumer import Consumer
from corelib.consumer.handling import Arrival, handle
from corelib.consumer.offsets import Offsets
from corelib.errors import Duplicate
from corelib.headers import unpack
from corelib.memory.broker import MemoryBroker, MemoryLogSink
from corelib.memory.cluster import Cluster
from corelib.memory.database import NOTHING, Database, Unit
from corelib.memory.link import Link
from corelib.memory.log import MemoryLogTable
from corelib.memory.store import Memory
from corelib.memory.subscription import MemorySubscription
from corelib.memory.transaction import MemoryTransaction, committed
from corelib.message import Channel, Envelope, Record, parse
from corelib.outbox_log import OutboxLog, Page, Position
from corelib.part import Part
from corelib.relay.log_relay import LogRelay
from corelib.testing.scenarios import Ledger
from corelib.testing.simulation import simulate
from corelib.testing.world import Node
from corelib.transaction import Mark

SEEDS = range(400)


class Stormy(Ledger):
    """More goes wrong, so that fewer schedules have to be tried."""

    faults = 20
    calm_seconds = 0.4


class CursorById(Stormy):
    """Reads what is behind the highest id it has seen: rows whose ids commit late are skipped."""

    def store(self, database: Database, link: Link) -> Memory:
        class Table(MemoryLogTable):
            def _read(self, position: Position, limit: int) -> Page:
                now = self._database.tick()
                rows = [row for row in self._database.between(NOTHING, now.snapshot) if row.id > position.id]
                return Page(replace(position, tick=now), rows[:limit], len(rows) > limit)  # type: ignore[arg-type]  # rows begin alike

        class Store(Memory):
            def log(self, relay: str, channels: frozenset[str]) -> OutboxLog:
                return OutboxLog(Table(self.database, self._link, relay, channels), relay)

        return Store(tables=self.tables, database=database, link=link)


class MarkAfterwards(Stormy):
    """Commits the effect, then the mark: a crash between them has the event handled again."""

    def store(self, database: Database, link: Link) -> Memory:
        class Store(Memory):
            @asynccontextmanager
            async def transaction(
                self, *, mark: Mark | None = None, traceparent: str | None = None
            ) -> AsyncIterator[MemoryTransaction]:
                if mark is not None and (await self.recall(mark))[0]:
                    raise Duplicate(mark.scope, mark.id)
                async with super().transaction(traceparent=traceparent) as tx:
                    yield tx
                if mark is not None:
                    await committed(self.database, self._link, Unit(marks=[mark]))

        return Store(tables=self.tables, database=database, link=link)


class OffsetsFirst(Stormy):
    """Commits offsets of what it has taken, handled or not: a crash loses what was in hand."""

    def broker(self, cluster: Cluster, link: Link, client: str) -> MemoryBroker:
        @dataclass
        class Hasty(Offsets):
            def committable(self) -> int:
                return self.next

        class Taker(MemorySubscription):
            async def _sync(self) -> None:
                await super()._sync()
                self._books = {
                    place: Hasty(next=book.next, committed=book.committed) for place, book in self._books.items()
                }

        class Broker(MemoryBroker):
            def subscribe(self, group: str, channels: Sequence[Channel]) -> Subscription:
                return Taker(cluster, link, group, channels, f"{client}-{next(cluster.members)}")

        return Broker(cluster, link=link, client=client)


class LeaseWithoutFencing(Stormy):
    """Trusts that who had the lease has it still: a relay that wakes after its successor began sends again."""

    only = ("freeze_in_ambush",)

    def store(self, database: Database, link: Link) -> Memory:
        class Table(MemoryLogTable):
            def _move(self, fence: int | None, position: Position) -> bool:  # noqa: ARG002 -- the mutation
                return super()._move(self._database.cursors[self._relay].fence, position)

        class Store(Memory):
            def log(self, relay: str, channels: frozenset[str]) -> OutboxLog:
                return OutboxLog(Table(self.database, self._link, relay, channels), relay)

        return Store(tables=self.tables, database=database, link=link)

    def broker(self, cluster: Cluster, link: Link, client: str) -> MemoryBroker:
        class Sink(MemoryLogSink):
            async def send(self, rows: Sequence[Outgoing], receipt: bytes) -> None:
                self._receipt = receipt
                self._records = [Record(row[0], row[1], unpack(row[3]), row[4]) for row in rows]

            async def commit(self) -> None:
                await self._call("send", self._whole)

            def _whole(self) -> None:
                epoch = cluster.producers[self._name].epoch
                cluster.send(self._name, epoch, self._records)
                cluster.commit(self._name, epoch, self._receipt)

        class Broker(MemoryBroker):
            def log(self, name: str) -> MemoryLogSink:
                return Sink(cluster, link, name, exactly_once=True)

        return Broker(cluster, link=link, client=client)


class ReceiptsIgnored(Stormy):
    """Goes on from its own cursor, whatever the broker has for certain."""

    def store(self, database: Database, link: Link) -> Memory:
        class Log(OutboxLog):
            async def recover(self, receipt: bytes) -> None:
                pass

        class Store(Memory):
            def log(self, relay: str, channels: frozenset[str]) -> OutboxLog:
                return Log(MemoryLogTable(self.database, self._link, relay, channels), relay)

        return Store(tables=self.tables, database=database, link=link)


class RolledBackAsDone(Stormy):
    """Takes events for handled that were to be handled in one transaction, though it was rolled back."""

    def consumer(self, node: Node, kind: type[Consumer] = Consumer) -> Part:
        class Trusting(kind):  # type: ignore[misc, valid-type]  # the mutation of whatever kind it is
            async def _together(
                self, subscription: Subscription, jobs: Sequence[Any], arrivals: Sequence[Arrival]
            ) -> int:
                if done := await super()._together(subscription, jobs, arrivals):
                    return int(done)
                for job in jobs[: len(arrivals)]:
                    await subscription.done(job.delivery)
                return len(arrivals)

        return super().consumer(node, Trusting)


class TakenUpFirst(Stormy):
    """Takes a parked record away, then handles it: a crash between the two loses it."""

    async def take_up(self, node: Node, handler: str, key: str) -> None:
        for parked in await node.store.parking.list(handler, key):
            (route,) = [route for route in self.routes_of(node) if route.name == handler]
            await node.store.parking.remove(parked)
            envelope = Envelope.of(parked.record)
            await handle(node.store, route, envelope, parse(parked.record, route.event))


class Overtaking(Stormy):
    """Sends what is behind a parked record of its key, as if nothing were parked."""

    def relay(self, node: Node) -> Part:
        relay = super().relay(node)
        assert isinstance(relay, LogRelay)
        relay._parked = _NothingWaits(relay._parked)  # type: ignore[assignment]  # the mutation
        return relay


class _NothingWaits:
    def __init__(self, parked: Any) -> None:
        self._parked = parked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parked, name)

    def __bool__(self) -> bool:
        return False


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "mutant",
    [
        CursorById,
        MarkAfterwards,
        OffsetsFirst,
        LeaseWithoutFencing,
        ReceiptsIgnored,
        RolledBackAsDone,
        TakenUpFirst,
        Overtaking,
    ],
)
def test_the_simulation_finds_the_mutant_where_the_true_code_stands(mutant: type[Stormy]) -> None:
    found = next((seed for seed in SEEDS if simulate(mutant, seed).failure is not None), None)
    assert found is not None, f"{len(SEEDS)} schedules let {mutant.__name__} pass"
    assert simulate(Stormy, found).failure is None
