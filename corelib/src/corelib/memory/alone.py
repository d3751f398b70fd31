"""What stands in for everything around a service that runs by itself: `python -m svc_mine --in-memory`.

Brokers and buckets in memory, tokens for callers, and a way to be the other services: hand in the events that they
would publish, see those that they would get.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import orjson
from aiohttp import web
from pydantic import BaseModel, Field

from corelib.actor import Route
from corelib.api import Api, get, post, validated
from corelib.auth import FixedKeys, PublishedKeys, TokenSigner, new_key
from corelib.clock import Clock
from corelib.config import ServiceSettings
from corelib.errors import Problem
from corelib.ids import uuid7
from corelib.memory.broker import MemoryBroker
from corelib.memory.objects import MemoryObjects, SignedUrls
from corelib.memory.queues import MemoryQueues
from corelib.message import Command, Envelope, Event
from corelib.store import ParkingLot

_LIFETIME = timedelta(hours=8)
_SHOWN = 100


class Alone:
    """The surroundings of one service, all within its process.

    With `SOUK_JWKS_URL` set the callers' tokens come from that issuer, in memory or not; else from here.
    """

    def __init__(self, settings: ServiceSettings, clock: Clock, *, signer: TokenSigner | None = None) -> None:
        self.kafka = MemoryBroker()
        self.sqs = MemoryQueues()
        if signer is None and "jwks_url" not in settings.model_fields_set:
            signer = TokenSigner(new_key())
        self.keys = FixedKeys(signer.jwks()) if signer else PublishedKeys(settings.jwks_url)
        self._signer = signer
        self._clock = clock
        self._urls = SignedUrls(settings.url, clock)

    def bucket(self, name: str) -> MemoryObjects:
        """Return a bucket of the service."""
        return MemoryObjects(name, self._urls)

    def apis(self, routes: Iterable[Route], parking: ParkingLot) -> Sequence[Api]:
        """Return the endpoints under /in-memory, for a service with these handlers, whose poison is kept there."""
        events = {route.event.type: route.event for route in routes}
        others = OthersApi(events, (self.kafka, self.sqs), self._clock)
        return [self._urls, others, ParkedApi(parking), *([TokensApi(self._signer)] if self._signer else [])]


class WhoCalls(Command):
    """Whose token it shall be; nobody in particular if left out."""

    user_id: UUID = Field(default_factory=uuid7)
    email: str = "somebody@example.com"
    roles: tuple[str, ...] = ()


class TokenView(BaseModel):
    """A token as RFC 6749 has it, 5.1."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 -- the scheme's name
    expires_in: int


class TokensApi(Api):
    """Tokens for the asking: they are good for this process only."""

    def __init__(self, signer: TokenSigner) -> None:
        self._signer = signer

    @post("/in-memory/tokens")
    async def token(self, body: WhoCalls) -> TokenView:
        """Get a token with the roles that you name."""
        token = self._signer.token(body.user_id, body.email, body.roles, session_id=str(uuid7()), lifetime=_LIFETIME)
        return TokenView(access_token=token, expires_in=int(_LIFETIME.total_seconds()))


class EventView(BaseModel):
    """An event on a channel; `data` is its body."""

    channel: str
    type: str | None
    key: str
    sent_at: datetime
    data: Any


class EventPage(BaseModel):
    """The last events, newest first."""

    items: list[EventView]


class Told(BaseModel):
    """The CloudEvents id that an event was sent with."""

    event_id: UUID


class OthersApi(Api):
    """Be the services around this one."""

    def __init__(
        self, events: dict[str, type[Event]], brokers: Sequence[MemoryBroker | MemoryQueues], clock: Clock
    ) -> None:
        self._events = events
        self._brokers = {broker.name: broker for broker in brokers}
        self._clock = clock

    @post("/in-memory/events/{kind}", status=202)
    async def tell(self, kind: str, request: web.Request) -> Told:
        """Send an event, by its CloudEvents type, as the service would that publishes it; the body is its data."""
        event_type = self._events.get(kind)
        if event_type is None:
            raise Problem(404, "unknown-event", f"Nothing here handles {kind}, but {', '.join(sorted(self._events))}.")
        event: Event = validated(event_type.model_validate_json, await request.read())
        envelope = Envelope(uuid7(), event.type, "souk/in-memory", self._clock.now(), event.key)
        for channel in event.channels:
            record = envelope.record(channel.name, event.model_dump_json().encode())
            await self._brokers[channel.transport].send([record])
        return Told(event_id=envelope.id)

    @get("/in-memory/events")
    async def heard(self) -> EventPage:
        """Show the last events on every topic, this service's own among them, and what lies in its queues."""
        past = [
            EventView(
                channel=one.record.channel,
                type=one.record.header("ce_type"),
                key=one.record.key,
                sent_at=one.time.astimezone(UTC),
                data=_data(one.record.payload),
            )
            for broker in self._brokers.values()
            for one in broker.past()
        ]
        return EventPage(items=sorted(past, key=lambda event: event.sent_at, reverse=True)[:_SHOWN])


class ParkedView(BaseModel):
    """A record that could not be handled or sent, or that waits behind one of its key: then with no attempts."""

    handler: str
    key: str
    channel: str
    type: str | None
    reason: str
    attempts: int
    parked_at: datetime
    data: Any


class ParkedPage(BaseModel):
    """What is parked, in order."""

    items: list[ParkedView]


class ParkedApi(Api):
    """Look into the parking lot, as `corelib parked` does in that of a service on servers."""

    def __init__(self, parking: ParkingLot) -> None:
        self._parking = parking

    @get("/in-memory/parked")
    async def parked(self) -> ParkedPage:
        """Show what could not be handled or sent, with the reason, and what waits behind it."""
        return ParkedPage(
            items=[
                ParkedView(
                    handler=one.handler,
                    key=one.record.key,
                    channel=one.record.channel,
                    type=one.record.header("ce_type"),
                    reason=one.reason,
                    attempts=one.attempts,
                    parked_at=one.parked.astimezone(UTC),
                    data=_data(one.record.payload),
                )
                for one in await self._parking.list(limit=_SHOWN)
            ]
        )


def _data(payload: bytes) -> Any:
    """Return a body as JSON, or as text where it is none."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return payload.decode(errors="replace")
