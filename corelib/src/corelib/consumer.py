"""From a subscription to the actors' handlers: in order per key, effect once, poison parked with its key."""

import asyncio
import time
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from corelib.actor import Route
from corelib.broker import Delivery, Subscription
from corelib.clock import Clock, SystemClock
from corelib.errors import Conflict, Malformed, Unavailable
from corelib.handling import handle
from corelib.mailbox import Mailboxes
from corelib.message import Envelope, Record, parse
from corelib.metrics import CONSUMER_LAG, EVENT_AGE, HANDLE_SECONDS, HANDLED, PARKED
from corelib.retry import retried
from corelib.store import Parked, Store
from corelib.tracing import event_span

MALFORMED = "(malformed)"
_LAG_SECONDS = 5.0
_WAITS = wait_random_exponential(multiplier=0.05, max=5.0)
# Trouble of store or broker, and lost races, say nothing about the event: they spend none of its attempts.
_NOT_THE_EVENTS_FAULT = (Unavailable, Conflict)

log = structlog.get_logger(__name__)


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
        for route in routes:
            self._routes[route.event.type].append(route)
        self._parked: dict[str, set[str]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until told to stop; what is in hand is finished within the drain time or comes again."""
        for handler in [route.name for routes in self._routes.values() for route in routes]:
            self._parked[handler] = set(await self._store.parking.keys(handler))
        subscription = self._subscribe()
        await subscription.open()
        mailboxes = Mailboxes(concurrency=self._concurrency)
        closing = asyncio.create_task(_stop_taking(stop, subscription))
        watching = asyncio.create_task(_watch_lag(subscription))
        try:
            async for delivery in subscription.deliveries():
                await mailboxes.submit(delivery.record.key, self._work(subscription, delivery))
            async with asyncio.timeout(self._drain_seconds):
                await mailboxes.drain()
        finally:
            closing.cancel()
            watching.cancel()
            await mailboxes.cancel()
            await subscription.close()

    async def retry_parked(self, handler: str, key: str) -> int:
        """Handle a parked key's records again, in order; return how many went well before the first that did not."""
        done = 0
        for parked in await self._store.parking.list(handler):
            if parked.record.key != key:
                continue
            if not await self._retry(parked):
                return done
            done += 1
        self._parked.setdefault(handler, set()).discard(key)
        return done

    async def _retry(self, parked: Parked) -> bool:
        envelope = Envelope.of(parked.record)
        route = next(r for r in self._routes[envelope.type] if r.name == parked.handler)
        try:
            await handle(self._store, route, envelope, parse(parked.record, route.event))
        except Exception:
            log.exception("a parked record failed again", handler=parked.handler, event_id=str(envelope.id))
            return False
        await self._store.parking.remove(parked)
        return True

    def _work(self, subscription: Subscription, delivery: Delivery) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            await self._dispatch(delivery.record)
            await subscription.done(delivery)

        return work

    async def _dispatch(self, record: Record) -> None:
        try:
            envelope = Envelope.of(record)
        except Malformed as error:
            await self._park(MALFORMED, record, str(error), attempts=1)
            return
        with structlog.contextvars.bound_contextvars(
            event_id=str(envelope.id), event_type=envelope.type, event_key=envelope.key
        ):
            for route in self._routes.get(envelope.type, ()):
                await self._route(route, envelope, record)

    async def _route(self, route: Route, envelope: Envelope, record: Record) -> None:
        if record.key in self._parked.setdefault(route.name, set()):
            await self._park(route.name, record, "waits behind a parked event of its key", attempts=0)
            return
        attempts = 0

        def mendable(error: BaseException) -> bool:
            nonlocal attempts
            if isinstance(error, _NOT_THE_EVENTS_FAULT):
                return True
            attempts += 1
            return isinstance(error, Exception) and not isinstance(error, Malformed) and attempts < route.attempts

        def retrying() -> AsyncRetrying:
            return AsyncRetrying(
                retry=retry_if_exception(mendable), wait=_WAITS, before_sleep=_say_retry(route), reraise=True
            )

        try:
            await retried(retrying, self._attempt, route, envelope, record)
        except Exception:
            HANDLED.labels(route.name, "parked").inc()
            log.exception("event parked with its key", handler=route.name)
            await self._park(route.name, record, traceback.format_exc(limit=-8), attempts=attempts)

    async def _attempt(self, route: Route, envelope: Envelope, record: Record) -> None:
        began = time.perf_counter()
        with event_span(route.name, envelope):
            outcome = await handle(self._store, route, envelope, parse(record, route.event))
        HANDLE_SECONDS.labels(route.name).observe(time.perf_counter() - began)
        HANDLED.labels(route.name, outcome).inc()
        EVENT_AGE.labels(route.name).observe(max(0.0, (self._clock.now() - envelope.time).total_seconds()))

    async def _park(self, handler: str, record: Record, reason: str, *, attempts: int) -> None:
        """Park for good: until this is committed the record is not done."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, _NOT_THE_EVENTS_FAULT)), wait=_WAITS, reraise=True
        )
        await retrying(self._store.parking.park, handler, record, reason=reason, attempts=attempts)
        if handler != MALFORMED:
            self._parked.setdefault(handler, set()).add(record.key)
        PARKED.labels(handler).inc()


def _say_retry(route: Route) -> Callable[[RetryCallState], None]:
    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        HANDLED.labels(route.name, "retried").inc()
        log.warning("handler will be tried again", handler=route.name, attempt=state.attempt_number, reason=repr(error))

    return say


async def _stop_taking(stop: asyncio.Event, subscription: Subscription) -> None:
    await stop.wait()
    subscription.stop_taking()


async def _watch_lag(subscription: Subscription) -> None:
    while True:
        for channel, waiting in (await subscription.lag()).items():
            CONSUMER_LAG.labels(channel).set(waiting)
        await asyncio.sleep(_LAG_SECONDS)
