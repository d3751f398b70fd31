"""For tests of services: a whole service on a free port, its actors without a broker, and tokens for its callers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from corelib.auth import TokenSigner
from corelib.clock import ManualClock
from corelib.handling import handle
from corelib.ids import uuid7
from corelib.message import Envelope, Event, parse
from corelib.service import Service
from corelib.store import OutboxReader
from corelib.transaction import Origin, channels_of

_START_SECONDS = 60.0
_POLL_SECONDS = 0.01
_PAGE = 1_000


def free_port() -> int:
    """Return a port of this machine that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[str]:
    """Serve a service while the block runs; gives its URL. Raises what keeps it from starting."""
    stop = asyncio.Event()
    serving = asyncio.create_task(service.serve(stop))
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not service.health.started and not serving.done():  # noqa: ASYNC110 -- health has flags, no events
                await asyncio.sleep(_POLL_SECONDS)
        if serving.done():
            serving.result()
        yield f"http://{service.settings.host}:{service.settings.port}"
    finally:
        stop.set()
        await serving


class Issuer:
    """Stands in for svc-user: signs tokens and publishes its key at `jwks_url` while the block runs."""

    def __init__(self) -> None:
        key = Ed25519PrivateKey.generate()
        self._signer = TokenSigner(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self._port = free_port()
        self._runner: web.AppRunner | None = None

    @property
    def jwks_url(self) -> str:
        """Where the key is published."""
        return f"http://127.0.0.1:{self._port}/.well-known/jwks.json"

    def token(self, user_id: UUID, *roles: str, email: str = "buyer@example.com", minutes: float = 5) -> str:
        """Return a token of a user with these roles."""
        return self._signer.token(user_id, email, roles, session_id=str(uuid4()), lifetime=timedelta(minutes=minutes))

    async def __aenter__(self) -> Self:
        """Publish the key."""

        async def jwks(_: web.Request) -> web.Response:
            return web.json_response(self._signer.jwks())

        app = web.Application()
        app.router.add_get("/.well-known/jwks.json", jwks)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop publishing."""
        if self._runner is not None:
            await self._runner.cleanup()


@dataclass
class Desk:
    """A service's actors on their real store, without a broker: hand them an event, see what they publish.

    Time stands still until `advance`: timers fire in virtual time.
    """

    service: Service
    clock: ManualClock
    _reader: OutboxReader

    async def handle(self, event: Event, *, event_id: UUID | None = None) -> list[Event]:
        """Run every handler of an event; return what was published. The same id again is a redelivery."""
        envelope = Envelope(event_id or uuid7(), event.type, "test", self.clock.now(), event.key)
        for route in self.service.routes:
            if route.event is type(event):
                await handle(self.service.store, route, envelope, event)
        return await self.published()

    async def advance(self, by: timedelta) -> list[Event]:
        """Let time pass; return what the timers published that came due."""
        self.clock.advance(by)
        while await self.service.store.fire(_PAGE):
            pass
        return await self.published()

    async def published(self) -> list[Event]:
        """Return what was published since the last look, as a relay would see it; each event once."""
        kinds = {kind.type: kind for kind in self.service.publishes}
        found: dict[UUID, Event] = {}
        while pending := await self._reader.read(_PAGE):
            for entry in pending:
                envelope = Envelope.of(entry.record)
                found[envelope.id] = parse(entry.record, kinds[envelope.type])
            await self._reader.acknowledge(pending)
        return list(found.values())


@asynccontextmanager
async def desk(service: Service, clock: ManualClock) -> AsyncIterator[Desk]:
    """Open a service's store and resources, but no broker and no server. The service must use this clock."""
    store = service.store
    await store.provision()
    for resource in service.resources:
        if (provision := getattr(resource, "provision", None)) is not None:
            await provision()
    await store.open(Origin(f"souk/{service.name}", clock, service.publishes))
    for resource in service.resources:
        await resource.open()
    reader = store.outbox("desk", frozenset(channel.name for channel in channels_of(service.publishes)))
    await reader.acquire("desk")
    try:
        yield Desk(service, clock, reader)
    finally:
        await reader.release()
        for resource in service.resources:
            await resource.close()
        await store.close()
