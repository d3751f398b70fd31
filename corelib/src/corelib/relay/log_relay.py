"""Carries an outbox that is a log to a broker that is one (PostgreSQL to Kafka), reading ahead while the broker works.

Small transactions when idle, for latency; the more waits, the larger, for throughput; bounded in bytes.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from uuid import uuid4

from corelib.broker import LogSink, Outgoing
from corelib.errors import LeaseLost, NeverTaken
from corelib.headers import unpack
from corelib.message import Record
from corelib.metrics import RELAYED
from corelib.part import ends_soon_after, rest
from corelib.relay.parking import RelayParking
from corelib.relay.rounds import LONGEST_POLL, RENEW_SECONDS, SHORTEST_POLL, STANDBY_SECONDS, go_on
from corelib.stages import Progress
from corelib.store import Chunk, LogSource, ParkingLot, Wake

_FEWEST, _MOST = 256, 20_000
_CHUNK_BYTES = 16 * 1024 * 1024  # aimed at; the source sets the bound
_SAMPLED = 16  # of so many rows one tells how large they are


class LogRelay:
    """A part that drains an outbox while it holds the lease, and stands by while another does."""

    def __init__(
        self, source: LogSource, sink: LogSink, wake: Wake, parking: ParkingLot, *, holder: str | None = None
    ) -> None:
        self.name = "relay-kafka"
        self._source = source
        self._sink = sink
        self._wake = wake
        self._parked = RelayParking[Outgoing]("kafka", parking, itemgetter(0, 1), _record)
        self._holder = holder or str(uuid4())
        self._renewed = 0.0
        self._measured = 0.0
        self._limit = _FEWEST
        self._behind = False
        self._progress = Progress("kafka")

    @property
    def waits_for(self) -> str:
        """What keeps it from delivering, round after round; empty while it delivers, or has nothing to."""
        return self._progress.waits_for

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until told to stop, then give the lease up. Raises nothing that waiting can mend."""
        await go_on(self._until_stopped, stop, self._progress, self._source.lag_seconds)

    async def _until_stopped(self, stop: asyncio.Event) -> None:
        try:
            async with ends_soon_after(stop):
                while not stop.is_set():
                    if await self._take_over():
                        await self._drain(stop)
                    else:
                        self._progress.stands_by()
                        await rest(stop, STANDBY_SECONDS)
        finally:
            self._renewed = 0.0
            await self._sink.close()
            await self._source.release()

    async def _take_over(self) -> bool:
        if not await self._source.acquire(self._holder):
            return False
        self._renewed = _now()
        # Small at first: a chunk that took a slow broker longer than the lease would take the next one as long.
        self._limit = _FEWEST
        receipt = await self._sink.begin()
        if receipt is not None:
            await self._source.recover(receipt)
        await self._parked.learn()
        self._progress.begins()
        return True

    async def _drain(self, stop: asyncio.Event) -> None:
        poll = SHORTEST_POLL
        chunk = await self._next()
        while not stop.is_set():
            await self._renew()
            await self._measure(chunk)
            if chunk is None:
                self._progress.goes_well()
                await self._wake.wait(poll)
                poll = min(poll * 2, LONGEST_POLL)
                chunk = await self._next()
                continue
            poll = SHORTEST_POLL
            chunk = await self._deliver_and_read(chunk)

    async def _deliver_and_read(self, chunk: Chunk) -> Chunk | None:
        """Read ahead while the broker works.

        While behind, from the first moment on; else only while the broker commits, as what is committed here meanwhile
        would wait for the read after.
        """
        ahead = self._reading() if self._behind else None
        try:
            rows = await self._send(chunk)
            ahead = ahead or self._reading()
            await self._sink.commit()
            await self._delivered(chunk, rows)
        except BaseException:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)
            raise
        return await ahead

    def _reading(self) -> asyncio.Task[Chunk | None]:
        return asyncio.create_task(self._next())

    async def _delivered(self, chunk: Chunk, rows: Sequence[Outgoing]) -> None:
        if self._sink.keeps_receipts:
            await self._source.passed(chunk.after)
        else:
            await self._source.commit(chunk.after)
        self._progress.delivered(unpack(chunk.rows[0][3]))
        self._progress.goes_well()
        for channel, count in Counter(row[0] for row in rows).items():
            RELAYED.labels("kafka", channel).inc(count)

    async def _send(self, chunk: Chunk) -> Sequence[Outgoing]:
        """Send a chunk without what is parked, or now must be; return what was sent."""
        rows = chunk.rows
        while True:
            if self._parked:
                _, rows = await self._parked.let_wait(rows)
            try:
                await self._sink.send(rows, chunk.receipt)
            except NeverTaken as refused:
                rows = await self._parked.park_first(rows, refused.rows, refused.reason)
                # The sink begins anew and shuts out whoever sends under its name: only with the lease may it.
                await self._renew(at_once=True)
                await self._sink.begin()
            else:
                return rows

    async def _next(self) -> Chunk | None:
        chunk = await self._source.read(self._limit)
        self._behind = chunk is not None and chunk.more
        if chunk is None:
            self._limit = _FEWEST
            return None
        self._progress.read(unpack(chunk.rows[0][3]))
        if self._behind:
            sample = chunk.rows[::_SAMPLED]
            size = sum(len(row[4]) + len(row[3]) for row in sample) / len(sample)
            self._limit = max(1, min(_MOST, 4 * self._limit, int(_CHUNK_BYTES / max(size, 1))))
        return chunk

    async def _renew(self, *, at_once: bool = False) -> None:
        if at_once or _now() - self._renewed >= RENEW_SECONDS:
            if not await self._source.acquire(self._holder):
                raise LeaseLost("another relay holds the lease")
            self._renewed = _now()

    async def _measure(self, chunk: Chunk | None) -> None:
        if _now() - self._measured >= 1:
            self._measured = _now()
            self._progress.lags(await self._source.lag_seconds() if chunk else 0.0)


def _record(row: Outgoing) -> Record:
    return Record(row[0], row[1], unpack(row[3]), row[4])


def _now() -> float:
    return asyncio.get_running_loop().time()
