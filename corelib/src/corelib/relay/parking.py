"""What a broker will never take waits with its key in the store's parking lot, so that other keys flow.

It is kept under `relay-NAME/CHANNEL`, as an event that goes by two channels may be parked for each. A relay lets what
comes later of such a key wait behind it; each minute, and by `corelib parked retry`, what is parked is sent again in
order, and with the last record the key flows again. Relays need not be told: `append` says that a queue is no more.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import structlog

from corelib.broker import Publisher, Refused
from corelib.errors import Conflict, Unavailable
from corelib.message import Record
from corelib.metrics import PARKED
from corelib.parking import AT_ONCE, RELAY, Resumed, failed_again
from corelib.part import ends_soon_after, rest
from corelib.store import Failure, Parked, ParkingLot

Stream = tuple[str, str]
"""A channel and a key: what order is kept within."""

_RETRY_SECONDS = 60.0
_BUSY_SECONDS = 0.1

T = TypeVar("T")

log = structlog.get_logger(__name__)


class RelayParking(Generic[T]):
    """One relay's view on the parking lot; true while it knows of anything parked.

    `stream` and `record` tell of an entry of its outbox what it is: the second is asked only for what is parked.
    """

    def __init__(
        self, relay: str, lot: ParkingLot, stream: Callable[[T], Stream], record: Callable[[T], Record]
    ) -> None:
        self._prefix = f"{RELAY}{relay}/"
        self._lot = lot
        self._stream = stream
        self._record = record
        self._parked: set[Stream] = set()

    def __bool__(self) -> bool:
        """Tell whether anything may have to wait."""
        return bool(self._parked)

    async def learn(self) -> None:
        """Ask what is parked: with the lease comes what the last holder parked."""
        keys = await self._lot.keys()
        self._parked = {
            (handler.removeprefix(self._prefix), key) for handler, key in keys if handler.startswith(self._prefix)
        }

    async def park(self, entry: T, reason: str, *, attempts: int = 1) -> None:
        """Park what the broker will never take: once, however often a relay that crashes comes back to it."""
        channel, key = self._stream(entry)
        handler = f"{self._prefix}{channel}"
        log.error("record parked with its key", handler=handler, key=key, reason=reason)
        await self._lot.park(handler, self._record(entry), Failure(reason), attempts=attempts)
        PARKED.labels(handler).inc()
        self._parked.add((channel, key))

    async def park_first(self, unsent: Sequence[T], refused: Sequence[T], reason: str) -> list[T]:
        """Park the first unsent entry of each key of which one was refused; return the others, some to `let_wait`.

        The first, not the refused one: what a crash leaves to be read again would else queue up behind that.
        """
        hopeless, keys = set(map(id, refused)), set(map(self._stream, refused))
        rest: list[T] = []
        for entry in unsent:
            if self._stream(entry) not in keys:
                rest.append(entry)
                continue
            keys.discard(self._stream(entry))
            if id(entry) in hopeless:
                await self.park(entry, reason)
            else:
                await self.park(entry, f"a later event of its key is not taken: {reason}", attempts=0)
        return rest

    async def let_wait(self, entries: Sequence[T]) -> tuple[list[T], list[T]]:
        """Let what is behind a parked record of its key wait there; return what waits now, and the rest in order."""
        behind: dict[Stream, list[T]] = {}
        rest: list[T] = []
        for entry in entries:
            stream = self._stream(entry)
            if stream in self._parked:
                behind.setdefault(stream, []).append(entry)
            else:
                rest.append(entry)
        waiting: list[T] = []
        for stream, queued in behind.items():
            count = await self._append(stream, queued)
            waiting += queued[:count]
            rest += queued[count:]
        return waiting, rest

    async def _append(self, stream: Stream, entries: Sequence[T]) -> int:
        channel, _ = stream
        handler = f"{self._prefix}{channel}"
        count = await self._lot.append(handler, *map(self._record, entries))
        PARKED.labels(handler).inc(count)
        if count < len(entries):
            self._parked.discard(stream)
        return count


class Resender:
    """A part that sends each minute what the relay of this name has parked. Any number may run, beside any relay."""

    def __init__(
        self, relay: str, lot: ParkingLot, publisher: Publisher, *, every_seconds: float = _RETRY_SECONDS
    ) -> None:
        self.name = f"{RELAY}{relay}-parked"
        self._prefix = f"{RELAY}{relay}/"
        self._lot = lot
        self._publisher = publisher
        self._every_seconds = every_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Send until told to stop; whatever is unavailable is tried again in the next round."""
        async with ends_soon_after(stop):
            while not await rest(stop, self._every_seconds):
                await self._round(stop)

    async def _round(self, stop: asyncio.Event) -> None:
        try:
            for handler, key in sorted(await self._lot.keys()):
                if handler.startswith(self._prefix):
                    await self._send(handler, key, stop)
        except (Unavailable, Conflict) as error:
            log.warning("what is parked waits for the store", part=self.name, reason=str(error))

    async def _send(self, handler: str, key: str, stop: asyncio.Event) -> None:
        while not stop.is_set():
            sent = await _turn(self._lot, self._publisher, handler, key)
            if sent is None or sent.failure or not sent.handled:
                return


def relay_of(handler: str) -> str:
    """Return the name of the relay, which is its transport's, that parks under this one."""
    return handler.removeprefix(RELAY).partition("/")[0]


async def resend(lot: ParkingLot, publisher: Publisher, handler: str, key: str) -> Resumed:
    """Send a parked key's records in order, also those that come meanwhile, until none is left or one is not taken.

    Waits while somebody else does.
    """
    handled = 0
    while True:
        sent = await _turn(lot, publisher, handler, key)
        if sent is None:
            await asyncio.sleep(_BUSY_SECONDS)
            continue
        handled += sent.handled
        if sent.failure or not sent.handled:
            return Resumed(handled, sent.failure)


async def _turn(lot: ParkingLot, publisher: Publisher, handler: str, key: str) -> Resumed | None:
    """Send the first records of a queue; None while it is somebody else's."""
    async with lot.claimed(handler, key) as mine:
        if not mine:
            return None
        queue = await lot.list(handler, key, limit=AT_ONCE)
        if not queue:
            return Resumed(0)
        count, failure = await _sent(publisher, queue)
        if failure and not count and len(queue) > 1:
            # Several may be too much at once: what is wrong with the first, it alone tells.
            count, failure = await _sent(publisher, queue[:1])
        if count:
            await lot.remove(*queue[:count])
        if failure and failure.final:
            await lot.failed(queue[count], failed_again(queue[count], failure.kept))
        return Resumed(count, failure.kept if failure else None)


class _NotTaken(NamedTuple):
    """Why a record was not taken. Only what the broker will never take counts as an attempt: that is `final`."""

    kept: Failure
    final: bool = False


async def _sent(publisher: Publisher, queue: Sequence[Parked]) -> tuple[int, _NotTaken | None]:
    """Send records of one key; return how many of the first ones were taken, and why the next one was not."""
    try:
        outcomes = await publisher.send([parked.record for parked in queue])
    except Unavailable as error:
        return 0, _NotTaken(Failure(str(error)))
    for count, outcome in enumerate(outcomes):
        if isinstance(outcome, Refused):
            return count, _NotTaken(Failure(outcome.reason), final=True)
        if not outcome:
            return count, _NotTaken(Failure(f"{publisher.name} did not take it this time"))
    return len(queue), None
