"""Sends again what was sent before: counted first, at a rate, in order per key, to be gone on with where it stopped.

A record keeps its event's id, so a consumer whose inbox still remembers the event changes nothing. What is older than
inboxes remember goes to another topic only: nobody can tell whether it was handled, so consumers would park it, and
with it whatever comes of its key from then on.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from corelib.broker import LogBroker, Publisher, Refused
from corelib.clock import Clock
from corelib.errors import Forgotten, InvalidEvent, Unavailable, UsageError
from corelib.execution import Execution, executing
from corelib.history import REPLAY_HEADER, History, Past, Place, Selection
from corelib.message import Channel, Envelope, Record, Transport
from corelib.operation import Operation, Operations
from corelib.parked_history import ParkedHistory
from corelib.service import Service
from corelib.transaction import REMEMBER, channels_of

KIND, RESUMED = "replay", "replay resumed"
_MOST_AT_ONCE = 500
_PATIENCE_SECONDS = 60.0
_MARGIN = timedelta(hours=1)
"""A consumer may take this long to get to what was sent."""


class Source(StrEnum):
    """Where what was sent is read from."""

    OUTBOX = "outbox"
    TOPIC = "topic"
    PARKED = "parked"


class Plan(BaseModel):
    """What is to be sent again, and how; kept with the operation, so that it can be gone on with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Source
    transport: str
    selection: Selection
    target: str = ""
    rate: float = Field(default=1_000.0, ge=0)


class Reached(BaseModel):
    """How far a replay has come: behind a page, and of the next one behind the record that was sent last."""

    model_config = ConfigDict(frozen=True)

    place: Place | None = None
    last: tuple[str, str] | None = None
    sent: int = 0


@dataclass
class Tally:
    """What a plan would send; `forgotten` is what the inbox may not remember any more."""

    records: int = 0
    forgotten: int = 0
    first: datetime | None = None
    last: datetime | None = None
    types: Counter[str] = field(default_factory=Counter)

    def add(self, past: Past, *, forgotten: bool) -> None:
        """Count one record."""
        self.records += 1
        self.forgotten += forgotten
        self.first = min(self.first or past.time, past.time)
        self.last = max(self.last or past.time, past.time)
        self.types[past.record.header("ce_type") or ""] += 1


class Replay:
    """A plan and what it is carried out with; `elsewhere` goes what no consumer of the service takes."""

    def __init__(
        self,
        plan: Plan,
        history: History,
        publisher: Publisher,
        operations: Operations,
        clock: Clock,
        *,
        remembered: timedelta = REMEMBER,
        elsewhere: bool = False,
    ) -> None:
        self.plan = plan
        self.elsewhere = elsewhere
        self._history = history
        self._publisher = publisher
        self._operations = operations
        self._clock = clock
        self._remembered = remembered

    async def count(self) -> Tally:
        """Return what would be sent; sends nothing."""
        tally = Tally()
        async for page in self._history.pages(self.plan.selection):
            for past in page.records:
                tally.add(past, forgotten=self._is_forgotten(past))
        return tally

    async def run(self, operation: Operation, sent: Callable[[int], None] = lambda _: None) -> Operation:
        """Send from where the operation's progress is; `sent` hears of each batch. Returns the operation, ended.

        Raises `Unavailable` when the broker stays away for a minute, and `Forgotten` for what grew too old meanwhile;
        the progress is saved then. Raises `UsageError` where it cannot begin, `LeaseLost` when another goes on with it.
        """
        await self._require_target()
        async with executing(self._operations, operation, self._clock) as work:
            await self._run(work, sent)
        return work.operation

    async def resume(
        self, operation: Operation, who: str, reason: str = "", sent: Callable[[int], None] = lambda _: None
    ) -> Operation:
        """Go on as `run` does, once it is written down who does so, when, and from where; why, if it is not as before.

        An operation of its own: the replay's is written anew with each batch, by each who carries it out.
        """
        await self._require_target()
        async with executing(self._operations, operation, self._clock, who=who) as work:
            now, progress = self._clock.now(), work.operation.progress
            details = {"replay": str(operation.id), "from": progress, "rate": self.plan.rate}
            told = {"of": str(operation.id), "from": Reached.model_validate(progress).sent}
            await self._operations.save(Operation(RESUMED, who, reason or operation.reason, details, now, told, now))
            await self._run(work, sent)
        return work.operation

    def require_remembered(self, tally: Tally) -> None:
        """Raise `Forgotten`, saying what to do, if consumers would park some of it."""
        if tally.forgotten and not self.elsewhere:
            raise self._forgotten(f"{tally.forgotten} of {tally.records} events are")

    async def _run(self, work: Execution, sent: Callable[[int], None]) -> None:
        reached = Reached.model_validate(work.operation.progress)
        pace = _Pace(self.plan.rate)
        async for page in self._history.pages(self.plan.selection, reached.place):
            for batch in _batches(_behind(reached.last, page.records), pace.batch):
                await pace.wait(len(batch))
                await self._send([self._again(past, work.operation) for past in batch])
                sent(len(batch))
                reached = Reached(place=reached.place, last=batch[-1].name, sent=reached.sent + len(batch))
                await work.save(reached.model_dump())
            reached = Reached(place=page.place, sent=reached.sent)
        await work.save(reached.model_dump())

    async def _require_target(self) -> None:
        if self.plan.target:
            try:
                target = Channel(self.plan.target, Transport(self.plan.transport))
            except TypeError as error:
                raise UsageError(f"--to {self.plan.target}: {error}; nothing was sent") from error
            missing = await self._publisher.missing([target])
            if missing:
                raise UsageError(f"--to {self.plan.target}: {', '.join(missing)} does not exist; nothing was sent")

    def _again(self, past: Past, operation: Operation) -> Record:
        if not self.elsewhere and self._is_forgotten(past):
            raise self._forgotten(f"event {past.record.header('ce_id')} is")
        record = past.record
        headers = (*record.headers, (REPLAY_HEADER, str(operation.id)))
        return record._replace(channel=self.plan.target or record.channel, headers=headers)

    def _forgotten(self, what: str) -> Forgotten:
        since = self._clock.now() - self._remembered + 2 * _MARGIN
        return Forgotten(
            f"{what} older than inboxes remember ({self._remembered.days} days). Whether such an event was handled"
            " cannot be told, so consumers would park it, and all that comes of its key from then on. Say"
            f" --since {since:%Y-%m-%dT%H:%M}, or send it to another topic with --to"
        )

    def _is_forgotten(self, past: Past) -> bool:
        # By the event's own time, as consumers judge it: a timer's event is older than its record.
        return Envelope.of(past.record).time < self._clock.now() - self._remembered + _MARGIN

    async def _send(self, records: Sequence[Record]) -> None:
        """Send until all is acknowledged."""
        left = list(records)

        async def attempt() -> None:
            sent = await self._publisher.send(left)
            for record, outcome in zip(left, sent, strict=True):
                if isinstance(outcome, Refused):
                    what = f"{self._publisher.name} will never take event {record.header('ce_id')}: {outcome.reason}"
                    raise InvalidEvent(what)
            left[:] = [record for record, ok in zip(left, sent, strict=True) if not ok]
            if left:
                raise Unavailable(self._publisher.name, f"{len(left)} records were refused")

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_random_exponential(multiplier=0.05, max=5.0),
            stop=stop_after_delay(_PATIENCE_SECONDS),
            reraise=True,
        )
        await retrying(attempt)


def replay_of(service: Service, plan: Plan) -> Replay:
    """Return a plan ready to be carried out on an open service. Raises `UsageError` where its source has no history."""
    broker = service.brokers[plan.transport]
    if plan.source is Source.PARKED:
        history: History = ParkedHistory(service.store.parking)
    elif plan.source is Source.OUTBOX:
        history = service.store.history(plan.transport)
    elif isinstance(broker, LogBroker):
        channels = [channel for channel in service.channels() if channel.name in plan.selection.channels]
        history = broker.history(channels)
    else:
        raise UsageError(f"{broker.name} keeps nothing of what was sent: replay from the outbox instead")
    elsewhere = plan.target not in {"", *(channel.name for channel in service.channels())}
    return Replay(plan, history, broker, service.store.operations, service.clock, elsewhere=elsewhere)


def channels_for(
    service: Service, source: Source, names: Sequence[str], types: frozenset[str] = frozenset()
) -> tuple[str, frozenset[str]]:
    """Return the transport and the channels of a replay. Raises `UsageError` unless these are of one transport.

    Where they would be of several and none are named, they are those that events of these types travel on.
    """
    published = channels_of(service.publishes)
    offered = published if source is Source.OUTBOX else frozenset(service.channels())
    unknown = set(names) - {channel.name for channel in offered}
    if unknown:
        known = ", ".join(sorted(channel.name for channel in offered)) or "none"
        raise UsageError(f"--topic {', '.join(sorted(unknown))}: the service's are {known}")
    chosen = {channel for channel in offered if not names or channel.name in names}
    if len({channel.transport for channel in chosen}) > 1:
        events = service.publishes | {route.event for route in service.routes}
        chosen = chosen & channels_of(frozenset(event for event in events if event.type in types)) or chosen
    transports = sorted({channel.transport.value for channel in chosen})
    if len(transports) != 1:
        listed = ", ".join(sorted(f"{channel.name} ({channel.transport})" for channel in chosen)) or "none"
        raise UsageError(f"a replay is of topics or queues of one kind: choose with --topic among {listed}")
    return transports[0], frozenset(channel.name for channel in chosen)


class _Pace:
    """Lets so many a second pass; 0 is as fast as it goes. Time in which nothing could be sent is not made up for."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._due = 0.0
        self.batch = min(_MOST_AT_ONCE, max(1, int(rate / 4))) if rate else _MOST_AT_ONCE

    async def wait(self, count: int) -> None:
        """Wait until so many more may pass."""
        if not self._rate:
            return
        now = asyncio.get_running_loop().time()
        if self._due > now:
            await asyncio.sleep(self._due - now)
        self._due = max(self._due, now) + count / self._rate


def _behind(last: tuple[str, str] | None, pasts: Sequence[Past]) -> Sequence[Past]:
    """Return what of a page is still to be sent: all of it, unless the record is in it that was sent last."""
    names = [past.name for past in pasts] if last else []
    return pasts[names.index(last) + 1 :] if last in names else pasts


def _batches(pasts: Sequence[Past], size: int) -> Iterator[Sequence[Past]]:
    for at in range(0, len(pasts), size):
        yield pasts[at : at + size]
