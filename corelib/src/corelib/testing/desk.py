"""For tests: a service's actors on its own store, without a broker, in virtual time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from corelib.clock import ManualClock
from corelib.consumer.handling import handle
from corelib.ids import uuid7
from corelib.message import Envelope, Event, parse
from corelib.service import Service
from corelib.store import OutboxReader
from corelib.transaction import channels_of

_PAGE = 1_000


@dataclass
class Desk:
    """A service's actors: hand them an event, see what they publish.

    Time stands still until `advance`: timers fire in virtual time.
    """

    service: Service
    clock: ManualClock
    _reader: OutboxReader

    async def handle(self, event: Event, *, event_id: UUID | None = None) -> list[Event]:
        """Run every handler of an event; return what was published. The same id again is a redelivery.

        Raises `LookupError` where there is none: a test of nothing would pass.
        """
        routes = [route for route in self.service.routes if route.event is type(event)]
        if not routes:
            raise LookupError(f"service {self.service.name} has no handler for {type(event).__name__}")
        envelope = Envelope(event_id or uuid7(), event.type, "test", self.clock.now(), event.key)
        for route in routes:
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
    """Open a service's store and resources, but no broker and no server.

    Raises `ValueError` for a service that has another clock.
    """
    if service.clock is not clock:
        raise ValueError(f"service {service.name} has a clock of its own: give Service(clock=...) the desk's")
    store = service.store
    await store.provision()
    for resource in service.resources:
        if (provision := getattr(resource, "provision", None)) is not None:
            await provision()
    await store.open(service.origin)
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
