"""A service: its store, apis and actors, wired and run."""

import asyncio
import signal
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

import structlog
from aiohttp import web
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from corelib import declarations
from corelib.actor import Actor, Route
from corelib.api import Api
from corelib.auth import Authenticator
from corelib.broker import Broker, LogBroker, Publisher
from corelib.clock import Clock, SystemClock
from corelib.config import ServiceSettings
from corelib.consumer.consumer import Consumer
from corelib.errors import SettingsError, Unavailable
from corelib.health import Check, Health
from corelib.http import openapi
from corelib.http.problem import NAMESPACE
from corelib.http.server import application
from corelib.memory.alone import Alone
from corelib.message import Channel, Event, Transport
from corelib.part import Part
from corelib.relay.log_relay import LogRelay
from corelib.relay.parking import Resender
from corelib.relay.relay import Relay
from corelib.store import LogStore, Store
from corelib.supervisor import Supervisor
from corelib.timers import Timers
from corelib.transaction import Origin, channels_of

_LINE_BYTES = 32_768
_REMEDY = "create it, or run --provision; where it exists, grant the right to describe it"
PARTS = ("http", "consumer", "relay", "timers")

log = structlog.get_logger(__name__)


class Resource(Protocol):
    """Something a service opens and closes; `check` and `provision` are used where it has them."""

    name: str

    async def open(self) -> None:
        """Connect."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class Service:
    """Everything of one service. `publishes` are the events it may publish: others are refused by `tx.publish`.

    `alone` adds what stands in for the rest of the world, where the service runs in memory. `namespace` is whose the
    service is: the source of its events is `<namespace>/<name>` (CloudEvents), the type of a problem in its answers
    `urn:<namespace>:problem:<slug>` (RFC 8141, RFC 9457).
    """

    def __init__(
        self,
        name: str,
        settings: ServiceSettings,
        *,
        store: Store,
        apis: Sequence[Api] = (),
        actors: Sequence[Actor] = (),
        publishes: Sequence[type[Event]] = (),
        brokers: Sequence[Publisher] = (),
        resources: Sequence[Resource] = (),
        authenticator: Authenticator | None = None,
        clock: Clock | None = None,
        alone: Alone | None = None,
        namespace: str = NAMESPACE,
    ) -> None:
        declarations.require_namespace(namespace)
        self.name = name
        self.namespace = namespace
        self.settings = settings
        self.store = store
        declarations.require_instances("actors", Actor, actors)
        declarations.require_instances("apis", Api, apis)
        self.routes: list[Route] = [route for actor in actors for route in actor.routes()]
        declarations.require_events(publishes)
        self.publishes = frozenset(publishes)
        self.brokers = {broker.name: broker for broker in brokers}
        self.resources = resources
        self.clock = clock or SystemClock()
        self.health = Health(checks=self._checks(), info=self._info())
        self.alone = alone
        if alone is not None:
            apis = [*apis, *alone.apis(self.routes, store.parking)]
        served = apis if "http" in self._wanted() else ()
        beside = [*self.health.routes(), *openapi.routes(f"svc-{name}", self._info()["version"], served)]
        self.app = application(
            served, store, authenticator, beside, body_limit_bytes=settings.body_limit_bytes, namespace=namespace
        )
        declarations.require_right(self)

    @property
    def origin(self) -> Origin:
        """Where the service's events come from, as its store needs to know."""
        return Origin(f"{self.namespace}/{self.name}", self.clock, self.publishes)

    def channels(self) -> list[Channel]:
        """Return every channel that the service publishes to or consumes from."""
        return sorted(channels_of(self.publishes) | self.consumed(), key=lambda channel: channel.name)

    def consumed(self) -> frozenset[Channel]:
        """Return every channel that the service's handlers take from."""
        return frozenset(channel for route in self.routes for channel in _taken_from(route.event))

    def describe(self) -> dict[str, Any]:
        """Return what the service needs to exist, as data: tables, channels, buckets."""
        return {
            "service": self.name,
            "channels": [
                {
                    "name": channel.name,
                    "transport": channel.transport.value,
                    "partitions": channel.partitions,
                    "compacted": channel.compacted,
                    "max_bytes": channel.max_bytes,
                    "max_receives": channel.max_receives,
                }
                for channel in self.channels()
            ],
            "tables": [table.describe() for table in getattr(self.store, "tables", ())],
            "resources": [resource.name for resource in self.resources],
            "transactions": [self._outbox] if any(map(self._is_log, self.relays())) else [],
        }

    @property
    def _outbox(self) -> str:
        return f"{self.name}-outbox"

    def _is_log(self, transport: str) -> bool:
        """Tell whether an outbox and its broker are two logs: the position goes along with the records."""
        return isinstance(self.brokers[transport], LogBroker) and isinstance(self.store, LogStore)

    async def provision(self) -> None:
        """Create what is missing: tables, topics, queues, buckets. Idempotent."""
        await self.store.provision()
        for transport, broker in self.brokers.items():
            channels = [channel for channel in self.channels() if channel.transport == transport]
            if channels:
                await broker.provision(channels)
        for resource in self.resources:
            provision = getattr(resource, "provision", None)
            if provision is not None:
                await provision()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain and close within the grace period."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await self.serve(stop)

    async def serve(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. The HTTP server starts first: liveness is told while dependencies come up."""
        runner = web.AppRunner(
            self.app,
            access_log=None,
            shutdown_timeout=self.settings.grace_seconds,
            # A longer line is refused by the parser in plain text; up to here, problem documents say what is wrong.
            max_line_size=_LINE_BYTES,
        )
        await runner.setup()
        wanted = self._wanted()
        # Health and metrics answer whatever parts run here; the apis are among the routes if "http" is wanted.
        host, port = self.settings.host, self.settings.port
        try:
            await web.TCPSite(runner, host, port, backlog=1024).start()
        except OSError as error:
            await runner.cleanup()
            raise SettingsError(
                f"cannot listen on {host}:{port}, which SOUK_HOST and SOUK_PORT say: {error}"
            ) from error
        opening = asyncio.create_task(self._open())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                opening.result()
                await self._supervise(stop, wanted)
        finally:
            self.health.stopping = True
            opening.cancel()
            stopping.cancel()
            await runner.cleanup()
            await self._close()
            log.info("stopped")

    async def _supervise(self, stop: asyncio.Event, wanted: frozenset[str]) -> None:
        supervisor = Supervisor(self._parts(wanted))
        self.health.failed_parts, self.health.waiting_parts = supervisor.failed, lambda: supervisor.waiting
        self.health.started = True
        # Not "ready": that is what /readyz tells, which sees topics and queues as well.
        log.info("started", parts=sorted(wanted), url=self.settings.url)
        supervising = asyncio.create_task(supervisor.run(stop))
        await stop.wait()
        self.health.stopping = True
        log.info("stopping")
        try:
            async with asyncio.timeout(self.settings.grace_seconds):
                await supervising
        except TimeoutError:
            log.warning("parts did not drain in time; what they had in hand comes again")

    async def _open(self) -> None:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_random_exponential(multiplier=0.1, max=5.0),
            before_sleep=self._say_waiting,
        )
        if self.settings.provision:
            await retrying(self.provision)
        await retrying(self.store.open, self.origin)
        for opened in (*self.brokers.values(), *self.resources):
            await retrying(opened.open)

    def _say_waiting(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self.health.waiting_for = str(error)
        log.warning("waiting for a dependency", reason=str(error), attempt=state.attempt_number)

    async def _close(self) -> None:
        everything: tuple[Any, ...] = (*self.resources, *self.brokers.values(), self.store)
        for opened in everything:
            try:
                await opened.close()
            except Exception:
                log.exception("could not close", dependency=opened.name)

    def _parts(self, wanted: frozenset[str]) -> list[Part]:
        parts: list[Part] = []
        if "relay" in wanted:
            parts += self._relays()
            parts += getattr(self.store, "parts", list)()
        if "timers" in wanted:
            parts.append(Timers(self.store))
        if "consumer" in wanted:
            parts += self._consumers()
        return parts

    def relays(self) -> dict[str, frozenset[str]]:
        """Return the names of the service's relays, one a transport, and the channels of each."""
        published = channels_of(self.publishes) if not getattr(self.store, "tableless", False) else frozenset()
        relays = {name: frozenset(c.name for c in published if c.transport == name) for name in self.brokers}
        return {name: channels for name, channels in relays.items() if channels}

    def _relays(self) -> list[Part]:
        relays = self.relays()
        parts: list[Part] = [self._relay(name, channels, self.brokers[name]) for name, channels in relays.items()]
        return parts + [Resender(name, self.store.parking, self.brokers[name]) for name in relays]

    def _relay(self, transport: str, channels: frozenset[str], broker: Publisher) -> Part:
        wake = self.store.committed()
        if isinstance(broker, LogBroker) and isinstance(self.store, LogStore):
            # Two logs: the position goes along with the records, in one transaction of the broker.
            return LogRelay(self.store.log(transport, channels), broker.log(self._outbox), wake, self.store.parking)
        return Relay(transport, self.store.outbox(transport, channels), broker, wake, self.store.parking)

    def _consumers(self) -> list[Part]:
        return [self._consumer(transport) for transport in sorted({channel.transport for channel in self.consumed()})]

    def _consumer(self, transport: Transport) -> Consumer:
        taken = sorted((c for c in self.consumed() if c.transport is transport), key=lambda channel: channel.name)
        broker: Broker = self.brokers[transport]  # type: ignore[assignment]  # checked in _require_brokers
        return Consumer(
            lambda: broker.subscribe(self.name, taken),
            [route for route in self.routes if any(c.transport is transport for c in _taken_from(route.event))],
            self.store,
            name=f"consumer-{transport}",
            clock=self.clock,
            concurrency=self.settings.consumer_concurrency,
        )

    def _wanted(self) -> frozenset[str]:
        return frozenset(filter(None, self.settings.only.split(","))) or frozenset(PARTS)

    def _checks(self) -> dict[str, Check]:
        asked: tuple[Any, ...] = (self.store, *self.resources)
        checks = {one.name: one.check for one in asked if hasattr(one, "check")}
        return checks | {broker.name: self._check_of(name, broker) for name, broker in self.brokers.items()}

    def _check_of(self, transport: str, broker: Publisher) -> Check:
        async def check() -> None:
            await broker.check()
            channels = [channel for channel in self.channels() if channel.transport == transport]
            if missing := await broker.missing(channels):
                raise Unavailable(broker.name, f"{', '.join(missing)} does not exist, or may not be seen: {_REMEDY}")

        return check

    def _info(self) -> dict[str, Any]:
        try:
            release = version(f"svc-{self.name}")
        except PackageNotFoundError:
            release = "0"
        return {"name": self.name, "version": release, "commit": self.settings.commit}


def _taken_from(event: type[Event]) -> list[Channel]:
    """Return where an event's handlers take it from: its topics, or else its queues."""
    topics = [channel for channel in event.channels if channel.transport is Transport.KAFKA]
    return topics or list(event.channels)
