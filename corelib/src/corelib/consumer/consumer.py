"""From a subscription to the actors' handlers: in order per key, effect once, poison parked with its key."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import ParamSpec, TypeVar

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from corelib.actor import Route
from corelib.broker import Delivery, Subscription
from corelib.clock import Clock, SystemClock
from corelib.consumer.handling import Arrival, handle, handle_together
from corelib.consumer.mailbox import CAPACITY, Mailboxes, Turn
from corelib.errors import Collision, Conflict, Forgotten, Malformed, Unavailable
from corelib.message import Envelope, Record, parse
from corelib.metrics import CONSUMER_LAG, MAILBOXES, PARKED, PARKED_NOW, PARKED_OLDEST, HandlerMetrics
from corelib.parking import MALFORMED, failure_of
from corelib.retry import pause_of, retried
from corelib.store import Store
from corelib.tracing import about, event_opener

P = ParamSpec("P")
T = TypeVar("T")

_WATCH_SECONDS = 5.0
_IDLE_SECONDS = 30.0  # of events that nobody here handles
_FOR_EACH_WORKER = 8  # of what another replica could have as well
_WAITS = wait_random_exponential(multiplier=0.05, max=5.0)
# Trouble of store or broker, and lost races, say nothing about the event: they spend none of its attempts.
_NOT_THE_EVENTS_FAULT = (Unavailable, Conflict)
# No repetition mends these.
_HOPELESS = (Malformed, Forgotten)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Job:
    """A delivery on its way through its handlers: which are done, and how often the next one was tried.

    `alone` is one that failed together with others, by itself or because of them.
    """

    delivery: Delivery
    envelope: Envelope | None = None
    done: int = 0
    tries: int = 0
    attempts: int = 0
    alone: bool = False


class Consumer:
    """A part that feeds the mailboxes until told to stop, then drains them."""

    def __init__(
        self,
        subscribe: Callable[[], Subscription],
        routes: Sequence[Route],
        store: Store,
        *,
        name: str = "consumer",
        clock: Clock | None = None,
        concurrency: int = 64,
        drain_seconds: float = 15.0,
    ) -> None:
        self.name = name
        self._subscribe = subscribe
        self._store = store
        self._clock = clock or SystemClock()
        self._concurrency = concurrency
        self._drain_seconds = drain_seconds
        self._routes: dict[str, list[Route]] = defaultdict(list)
        self._metrics = {route.name: HandlerMetrics(route.name) for route in routes}
        for route in routes:
            self._routes[route.event.type].append(route)
        self._parked: set[tuple[str, str]] = set()
        # What was shown once is shown as none when it is gone, or its alert would never end.
        self._shown = {*self._metrics, MALFORMED}
        self._span = event_opener()

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until told to stop; what is in hand is finished within the drain time or comes again."""
        subscription = self._subscribe()
        mailboxes = Mailboxes[_Job](
            lambda jobs: self._work(subscription, jobs),
            concurrency=self._concurrency,
            # What is in hand of a queue nobody else gets, it is extended by calls, and given back at the stop.
            capacity=CAPACITY if subscription.sticky else _FOR_EACH_WORKER * self._concurrency,
            # Of a subscription that is not sticky others may have parked the key: that is asked for each event.
            together=self._store.together if subscription.sticky else 1,
        )
        tasks = [asyncio.create_task(_stop_taking(stop, subscription, mailboxes))]
        try:
            await subscription.open(self._assigned)
            tasks.append(asyncio.create_task(self._watch(subscription, mailboxes)))
            async for delivery in subscription.deliveries():
                await mailboxes.submit(delivery.record.key, _Job(delivery))
            await self._drain(mailboxes)
        finally:
            for task in tasks:
                task.cancel()
            await mailboxes.cancel()
            await subscription.close()

    async def _drain(self, mailboxes: Mailboxes[_Job]) -> None:
        try:
            async with asyncio.timeout(self._drain_seconds):
                await mailboxes.drain()
        except TimeoutError:
            log.warning("not everything in hand was finished; the rest comes again", consumer=self.name)

    async def _assigned(self) -> None:
        """Learn which keys are parked, before anything of a new share is handled."""
        self._parked |= await _surely(self._store.parking.keys)

    async def _work(self, subscription: Subscription, jobs: Sequence[_Job]) -> Turn:
        """Handle what waits of a key in one transaction, or where that cannot be, or failed, the first by itself."""
        arrivals = list(self._arrivals(jobs)) if len(jobs) > 1 else []
        if len(arrivals) > 1 and (done := await self._together(subscription, jobs, arrivals)):
            return Turn(done)
        pause = await self._alone(subscription, jobs[0])
        return Turn(1) if pause is None else Turn(0, pause)

    def _arrivals(self, jobs: Sequence[_Job]) -> Iterator[Arrival]:
        """Yield the first deliveries, as long as nothing is special about them."""
        for job in jobs:
            record = job.delivery.record
            try:
                envelope = job.envelope = job.envelope or Envelope.of(record)
            except Malformed:
                return
            routes = self._routes.get(envelope.type, ())
            if job.alone or job.done or job.tries:
                return
            if any(route.is_effect or (route.name, record.key) in self._parked for route in routes):
                return
            yield Arrival(record, envelope, routes)

    async def _together(self, subscription: Subscription, jobs: Sequence[_Job], arrivals: Sequence[Arrival]) -> int:
        """Return how many deliveries are done, in one transaction; none if it failed, whatever the reason."""
        deadlines = (route.deadline.total_seconds() for arrival in arrivals for route in arrival.routes)
        clock = asyncio.get_running_loop().time
        began = clock()
        pairs = zip(jobs, arrivals, strict=False)
        # Up to the first that comes to somebody else: what is counted as done is always the first of the jobs.
        begun = takewhile(lambda pair: subscription.begin(pair[0].delivery), pairs)
        try:
            deadline = min(deadlines, default=_IDLE_SECONDS)
            ours = (arrival for _, arrival in begun)
            done = await handle_together(self._store, ours, deadline=deadline, span=self._span)
        except Exception as error:  # noqa: BLE001 -- each of them is tried by itself, where it is told apart
            log.info("events are handled one by one", key=arrivals[0].record.key, reason=repr(error))
            for job in jobs[: len(arrivals)]:
                job.alone = True
            return 0
        seconds = clock() - began
        now = self._clock.now()
        ages: dict[str, list[float]] = defaultdict(list)
        for job, arrival in zip(jobs[:done], arrivals, strict=False):
            for route in arrival.routes:
                ages[route.name].append(arrival.envelope.age(now))
            await subscription.done(job.delivery)
        for handler, known in ages.items():
            self._metrics[handler].count("done", known, seconds)
        return done

    async def _alone(self, subscription: Subscription, job: _Job) -> float | None:
        """Take a delivery one step further; return the seconds to wait where that has to be tried again."""
        if not subscription.begin(job.delivery):
            return None
        record = job.delivery.record
        if job.envelope is None:
            try:
                job.envelope = Envelope.of(record)
            except Malformed as error:
                log.error("what is no event is parked", channel=record.channel, key=record.key, reason=str(error))  # noqa: TRY400 -- the reason is all there is to it
                await self._park(MALFORMED, record, error, attempts=1)
                await subscription.done(job.delivery)
                return None
        pause = await self._routed(job, job.envelope, subscription)
        if pause is None:
            await subscription.done(job.delivery)
        return pause

    async def _routed(self, job: _Job, envelope: Envelope, subscription: Subscription) -> float | None:
        routes = self._routes.get(envelope.type, ())
        while job.done < len(routes):
            route = routes[job.done]
            if not await self._waits(route, job.delivery.record, sticky=subscription.sticky):
                pause = await self._try(route, envelope, job)
                if pause is not None:
                    return pause
            job.done, job.tries, job.attempts = job.done + 1, 0, 0
        return None

    async def _waits(self, route: Route, record: Record, *, sticky: bool) -> bool:
        """Let a record wait behind a parked one of its key; False where there is none, or no longer."""
        parked = (route.name, record.key)
        if sticky and parked not in self._parked:
            return False
        if await _surely(self._store.parking.append, route.name, record):
            PARKED.labels(route.name).inc()
            return True
        self._parked.discard(parked)
        return False

    async def _try(self, route: Route, envelope: Envelope, job: _Job) -> float | None:
        job.tries += 1
        try:
            await self._attempt(route, envelope, job.delivery.record, job.attempts + 1)
        except Exception as error:
            # What is there whenever the handler runs again is no race.
            if isinstance(error, _NOT_THE_EVENTS_FAULT) and not isinstance(error, Collision):
                return self._again(route, envelope, job, error)
            job.attempts += 1
            if job.attempts < route.attempts and not isinstance(error, _HOPELESS):
                return self._again(route, envelope, job, error)
            self._metrics[route.name].outcomes["parked"].inc()
            with about(envelope):
                log.exception("event parked with its key", handler=route.name)
            await self._park(route.name, job.delivery.record, error, attempts=job.attempts)
        return None

    async def _attempt(self, route: Route, envelope: Envelope, record: Record, attempt: int) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        with about(envelope), self._span(route.name, envelope):
            outcome = await handle(self._store, route, envelope, parse(record, route.event), attempt=attempt)
        self._metrics[route.name].count(outcome, [envelope.age(self._clock.now())], clock() - began)

    def _again(self, route: Route, envelope: Envelope, job: _Job, error: Exception) -> float:
        seconds = pause_of(_WAITS, job.tries)
        self._metrics[route.name].outcomes["retried"].inc()
        with about(envelope):
            log.warning("handler will be tried again", handler=route.name, tries=job.tries, reason=repr(error))
        return seconds

    async def _park(self, handler: str, record: Record, error: Exception, *, attempts: int) -> None:
        """Park for good: until this is committed the record is not done."""
        await _surely(self._store.parking.park, handler, record, failure_of(error), attempts=attempts)
        if handler != MALFORMED:
            self._parked.add((handler, record.key))
        PARKED.labels(handler).inc()

    async def _watch(self, subscription: Subscription, mailboxes: Mailboxes[_Job]) -> None:
        """Show what waits on the broker, what is in hand, and what is parked."""
        while True:
            MAILBOXES.set(mailboxes.keys)
            for show in (partial(self._show_lag, subscription), self._show_parked):
                try:
                    await show()
                except Exception as error:  # noqa: BLE001 -- gauges that stand still would keep an alert asleep
                    log.warning("what waits is not known", consumer=self.name, reason=repr(error))
            await asyncio.sleep(_WATCH_SECONDS)

    async def _show_lag(self, subscription: Subscription) -> None:
        for channel, waiting in (await subscription.lag()).items():
            CONSUMER_LAG.labels(channel).set(waiting)

    async def _show_parked(self) -> None:
        sizes = await self._store.parking.sizes()
        self._shown |= sizes.keys()
        for handler in self._shown:
            queued = sizes.get(handler)
            age = (self._clock.now() - queued.oldest).total_seconds() if queued else 0.0
            PARKED_NOW.labels(handler).set(queued.records if queued else 0)
            PARKED_OLDEST.labels(handler).set(max(0.0, age))


async def _surely(call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call until the store answers."""
    retrying = AsyncRetrying(retry=retry_if_exception_type(_NOT_THE_EVENTS_FAULT), wait=_WAITS, reraise=True)
    return await retried(lambda: retrying, call, *args, **kwargs)


async def _stop_taking(stop: asyncio.Event, subscription: Subscription, mailboxes: Mailboxes[_Job]) -> None:
    await stop.wait()
    subscription.stop_taking()
    mailboxes.stop()
