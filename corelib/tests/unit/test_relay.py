"""A relay whose lease ends under it, or that its broker refuses, in virtual time."""

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from corelib.broker import Refused
from corelib.errors import LeaseLost, Unavailable
from corelib.memory.broker import MemoryBroker
from corelib.memory.database import Database
from corelib.memory.link import Direct
from corelib.memory.parking import MemoryParking
from corelib.message import Record
from corelib.relay.relay import Relay
from corelib.store import Pending
from corelib.testing.virtual_loop import VirtualLoop
from corelib.wake import EventWake

_HOLDER = "this-relay"
# The store lets nobody else in before a lease has run out; a relay renews it well before.
_LEASE_SECONDS = 5.0


class Outbox:
    """An `OutboxReader` with one record, whose lease somebody else can be given."""

    def __init__(self) -> None:
        self.given_away_at: float | None = None

    async def acquire(self, holder: str) -> bool:
        return holder == _HOLDER and self.given_away_at is None

    async def read(self, limit: int) -> Sequence[Pending]:
        return [Pending(1, Record("notes", "n-1", (), b"{}"))][:limit]

    async def acknowledge(self, records: Sequence[Pending]) -> None:
        raise AssertionError(f"nothing was taken, and yet {records} are acknowledged")

    async def lag_seconds(self) -> float:
        return 0.0

    async def release(self) -> None:
        return


class Refusing(MemoryBroker):
    """Takes nothing for now, and gives the lease away at the first record."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__()
        self.sent_at: list[float] = []
        self._outbox = outbox

    async def send(self, records: Sequence[Record]) -> Sequence[bool | Refused]:
        now = asyncio.get_running_loop().time()
        if self._outbox.given_away_at is None:
            self._outbox.given_away_at = now
        self.sent_at.append(now)
        return [False] * len(records)


def test_relay_that_lost_its_lease_sends_nothing_more_of_what_the_broker_refuses() -> None:
    outbox = Outbox()
    broker = Refusing(outbox)
    relay = Relay("notes", outbox, broker, EventWake(), MemoryParking(Database(), Direct()), holder=_HOLDER)

    async def for_a_minute() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(60, stop.set)
        await relay.run(stop)

    VirtualLoop(seed=1).run(for_a_minute())

    assert outbox.given_away_at is not None
    late = [at for at in broker.sent_at if at > outbox.given_away_at + _LEASE_SECONDS]
    assert late == []


class Busy(Outbox):
    """Has one record of each of two channels, always."""

    async def read(self, limit: int) -> Sequence[Pending]:
        return [Pending(at, Record(name, "k", (), b"{}")) for at, name in enumerate(["open", "shut"])][:limit]

    async def acknowledge(self, records: Sequence[Pending]) -> None:
        """Nothing is kept of it."""


class HalfShut(MemoryBroker):
    """Takes nothing of one channel, until it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: Exception | None = Unavailable("kafka", "no right to it")

    async def send(self, records: Sequence[Record]) -> Sequence[bool | Refused]:
        await asyncio.sleep(0.1)
        if self.trouble is None:
            return [True] * len(records)
        taken = [record.channel == "open" for record in records]
        if not any(taken):
            raise self.trouble
        return taken


def test_a_relay_that_cannot_deliver_all_says_why_until_it_can() -> None:
    broker = HalfShut()
    relay = Relay("notes", Busy(), broker, EventWake(), MemoryParking(Database(), Direct()), holder=_HOLDER)
    told: list[str] = []

    async def look() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(relay.run(stop))
        for trouble in (broker.trouble, None, LeaseLost("another has it")):
            broker.trouble = trouble
            await asyncio.sleep(60)
            told.append(relay.waits_for)
        stop.set()
        await running

    with capture_logs() as logs:
        VirtualLoop(seed=1).run(look())
    assert told == ["kafka is unavailable: no right to it", "", ""]
    assert [each["event"] for each in logs].count("relay waits no longer") == 1


def test_a_relay_that_pauses_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corelib.relay.rounds.pause_of", lambda *_: 3_600.0)
    broker = HalfShut()
    relay = Relay("notes", Outbox(), broker, EventWake(), MemoryParking(Database(), Direct()), holder=_HOLDER)

    async def stopped_at() -> float:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(60, stop.set)
        await relay.run(stop)
        return asyncio.get_running_loop().time()

    assert VirtualLoop(seed=1).run(stopped_at()) < 61
