"""What waits of a key is handled together only as far as it may be: some of it may belong to somebody else by now."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from prometheus_client import REGISTRY

from corelib.actor import Actor, receive
from corelib.broker import Assigned, Delivery
from corelib.clock import SystemClock
from corelib.consumer.consumer import Consumer
from corelib.ids import uuid7
from corelib.memory.store import Memory
from corelib.message import Channel, Envelope, Event
from corelib.testing.running import parts_running, until
from corelib.transaction import Origin, Transaction

CHANNEL = Channel("turned")


class Turned(Event, type="test.turned.v1", channels=(CHANNEL,), key="name"):
    name: str
    number: int


@dataclass(frozen=True)
class Hand(Actor):
    """Remembers what it handled. Its first event waits until all have come, so that the others are one turn."""

    others: asyncio.Event
    handled: list[int] = field(default_factory=list)

    @receive
    async def turned(self, event: Turned, tx: Transaction) -> None:  # noqa: ARG002 -- a handler has one
        if not event.number:
            await self.others.wait()
        self.handled.append(event.number)


class Given:
    """A subscription with a few deliveries, some of which were taken away after they came."""

    sticky = True

    def __init__(self, count: int, taken_away: set[int], others: asyncio.Event) -> None:
        self._count = count
        self._taken_away = taken_away
        self._others = others
        self._stopped = asyncio.Event()
        self.said_done: list[object] = []

    async def open(self, on_assigned: Assigned | None = None, /) -> None:
        if on_assigned is not None:
            await on_assigned()

    def begin(self, delivery: Delivery) -> bool:
        return delivery.position not in self._taken_away

    async def close(self) -> None: ...

    def stop_taking(self) -> None:
        self._stopped.set()

    async def deliveries(self) -> AsyncIterator[Delivery]:
        for number in range(self._count):
            event = Turned(name="k", number=number)
            envelope = Envelope(uuid7(), Turned.type, "test", SystemClock().now(), "k")
            yield Delivery(envelope.record(CHANNEL.name, event.model_dump_json().encode()), number)
        self._others.set()
        await self._stopped.wait()

    async def done(self, delivery: Delivery) -> None:
        self.said_done.append(delivery.position)

    async def lag(self) -> dict[str, int]:
        return {}


def _told(metric: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(metric, {"handler": "Hand.turned", **labels}) or 0.0


async def test_every_event_of_a_turn_is_counted_and_the_turn_is_timed_once() -> None:
    store = Memory()
    await store.open(Origin("test", SystemClock(), frozenset({Turned})))
    hand = Hand(asyncio.Event())
    given = Given(5, set(), hand.others)
    done, ages, times = (
        _told("events_handled_total", outcome="done"),
        _told("event_age_seconds_count"),
        _told("event_handling_duration_seconds_count"),
    )
    async with parts_running(Consumer(lambda: given, list(hand.routes()), store)):
        await until(lambda: len(given.said_done) == 5)
    assert _told("events_handled_total", outcome="done") - done == 5
    assert _told("event_age_seconds_count") - ages == 5
    assert _told("event_handling_duration_seconds_count") - times in {1, 2}, "the first may have been a turn of its own"


async def test_what_was_taken_away_is_neither_handled_nor_said_to_be_done() -> None:
    store = Memory()
    await store.open(Origin("test", SystemClock(), frozenset({Turned})))
    hand = Hand(asyncio.Event())
    given = Given(5, {2}, hand.others)
    async with parts_running(Consumer(lambda: given, list(hand.routes()), store)):
        await until(lambda: hand.handled[-1:] == [4])
    assert hand.handled == [0, 1, 3, 4]
    assert given.said_done == [0, 1, 3, 4]
