"""Carries committed records from one outbox to one broker: in order per key, at least once, by one relay at a time.

A crash between send and acknowledge sends again; consumers' marks make that harmless. Broker trouble spends no
attempts: the relay waits and tries again for as long as it takes. A record that the broker will never take is parked
with its key, so that other keys flow (see `corelib.relay.parking`).
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from uuid import uuid4

import structlog

from corelib.broker import Publisher, Refused
from corelib.metrics import RELAY_FAILURES, RELAYED
from corelib.parking import RELAY
from corelib.part import ends_soon_after, rest
from corelib.relay.parking import RelayParking
from corelib.relay.rounds import LONGEST_POLL, RENEW_SECONDS, SHORTEST_POLL, STANDBY_SECONDS, go_on
from corelib.stages import Progress
from corelib.store import OutboxReader, ParkingLot, Pending, Wake

log = structlog.get_logger(__name__)


class Relay:
    """A part that drains an outbox while it holds the lease, and stands by while another does."""

    def __init__(
        self,
        name: str,
        reader: OutboxReader,
        publisher: Publisher,
        wake: Wake,
        parking: ParkingLot,
        *,
        holder: str | None = None,
        batch: int = 2_000,
    ) -> None:
        self.name = f"{RELAY}{name}"
        self._relay = name
        self._reader = reader
        self._publisher = publisher
        self._wake = wake
        self._holder = holder or str(uuid4())
        self._batch = batch
        self._parked = RelayParking[Pending](name, parking, _stream, lambda entry: entry.record)
        self._renewed = 0.0
        self._measured = 0.0
        self._progress = Progress(name)

    @property
    def waits_for(self) -> str:
        """What keeps it from delivering, round after round; empty while it delivers, or has nothing to."""
        return self._progress.waits_for

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until told to stop, then give the lease up. Raises nothing that waiting can mend."""
        await go_on(self._until_stopped, stop, self._progress, self._reader.lag_seconds)

    async def _until_stopped(self, stop: asyncio.Event) -> None:
        try:
            async with ends_soon_after(stop):
                await self._drain(stop)
        finally:
            if self._renewed:
                self._renewed = 0.0
                await self._reader.release()

    async def _drain(self, stop: asyncio.Event) -> None:
        poll = SHORTEST_POLL
        while not stop.is_set():
            if not await self._hold():
                await rest(stop, STANDBY_SECONDS)
                continue
            pending = await self._reader.read(self._batch)
            await self._measure(pending)
            if pending:
                self._progress.read(pending[0].record.headers)
                await self._deliver(pending, stop)
                poll = SHORTEST_POLL
            else:
                self._progress.goes_well()
                await self._wake.wait(poll)
                poll = min(poll * 2, LONGEST_POLL)

    async def _hold(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._renewed and now - self._renewed < RENEW_SECONDS:
            return True
        held = await self._reader.acquire(self._holder)
        if held:
            # Each time, as a share of the outbox may be new, and with it what others parked of it.
            await self._parked.learn()
            self._progress.begins()
        else:
            self._progress.stands_by()
        self._renewed = now if held else 0.0
        return held

    async def _deliver(self, pending: Sequence[Pending], stop: asyncio.Event) -> None:
        """Send until all is acknowledged: the reader moves on only past a whole read."""
        pause = SHORTEST_POLL
        while pending := await self._without_parked(pending):
            sent = await self._publisher.send([entry.record for entry in pending])
            await self._acknowledge([entry for entry, ok in zip(pending, sent, strict=True) if ok])
            await self._park(pending, sent)
            refused = sum(isinstance(outcome, Refused) for outcome in sent)
            pending = [entry for entry, ok in zip(pending, sent, strict=True) if not ok]
            if stop.is_set():
                return
            if refused or not pending:
                continue
            RELAY_FAILURES.labels(self._relay).inc()
            log.warning("records refused by the broker, sending them again", relay=self._relay, count=len(pending))
            await rest(stop, pause)
            pause = min(pause * 2, STANDBY_SECONDS)
            if not await self._hold():
                return  # another relay sends them now
        self._progress.goes_well()

    async def _acknowledge(self, done: Sequence[Pending]) -> None:
        if done:
            await self._reader.acknowledge(done)
            self._progress.delivered(done[0].record.headers)
            for channel, count in Counter(entry.record.channel for entry in done).items():
                RELAYED.labels(self._relay, channel).inc(count)

    async def _without_parked(self, pending: Sequence[Pending]) -> Sequence[Pending]:
        """Let what is behind a parked record of its key wait there; return the rest."""
        if not self._parked:
            return pending
        waiting, others = await self._parked.let_wait(pending)
        if waiting:
            await self._reader.acknowledge(waiting)
        return others

    async def _park(self, pending: Sequence[Pending], sent: Sequence[bool | Refused]) -> None:
        """Park what the broker will never take, before anything behind it is sent."""
        for entry, outcome in zip(pending, sent, strict=True):
            if isinstance(outcome, Refused):
                await self._parked.park(entry, outcome.reason)

    async def _measure(self, pending: Sequence[Pending]) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._measured >= 1:
            self._measured = now
            self._progress.lags(await self._reader.lag_seconds() if pending else 0.0)


def _stream(entry: Pending) -> tuple[str, str]:
    return entry.record.channel, entry.record.key
