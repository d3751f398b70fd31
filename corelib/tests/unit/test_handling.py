"""A handler that something ends: its deadline, whoever runs it, or what it waits for."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
import pytest_asyncio

from corelib.actor import Actor, Effect, Route, effect, receive
from corelib.clock import SystemClock
from corelib.consumer.handling import Arrival, handle, handle_together
from corelib.errors import Abandoned
from corelib.ids import uuid7
from corelib.memory.store import Memory
from corelib.message import Channel, Envelope, Event
from corelib.tracing import event_opener
from corelib.transaction import Mark, Origin, Transaction

CHANNEL = Channel("rung")


class Rung(Event, type="test.rung.v1", channels=(CHANNEL,), key="bell"):
    bell: str


@dataclass(frozen=True)
class Porter(Actor):
    """Waits for what others wait for too."""

    shared: "asyncio.Future[None]"

    @receive
    async def rung(self, _event: Rung, tx: Transaction) -> None:
        tx.publish(Rung(bell="another"))
        await self.shared

    @effect()
    async def called(self, _event: Rung, _call: Effect) -> None:
        await self.shared


@pytest_asyncio.fixture
async def store() -> AsyncIterator[Memory]:
    store = Memory()
    await store.open(Origin("test", SystemClock(), frozenset({Rung})))
    yield store
    await store.close()


def envelope() -> Envelope:
    return Envelope(uuid7(), Rung.type, "test", SystemClock().now(), "b")


def routes() -> list[Route]:
    return list(Porter(asyncio.get_running_loop().create_future()).routes())


def shared(route: Route) -> "asyncio.Future[None]":
    found: asyncio.Future[None] = route.call.__self__.shared  # type: ignore[attr-defined]  # a bound method
    return found


@pytest.mark.parametrize("which", [0, 1])
async def test_what_another_cancels_is_an_attempt_that_failed(store: Memory, which: int) -> None:
    route = routes()[which]
    asyncio.get_running_loop().call_soon(shared(route).cancel)
    sent = envelope()
    with pytest.raises(Abandoned):
        await handle(store, route, sent, Rung(bell="b"))
    assert await store.recall(Mark(route.name, str(sent.id), sent.time)) == (False, None)


async def test_what_another_cancels_fails_those_handled_together(store: Memory) -> None:
    route = routes()[0]
    asyncio.get_running_loop().call_soon(shared(route).cancel)
    sent = envelope()
    arrival = Arrival(sent.record("rung", b'{"bell": "b"}'), sent, [route])
    with pytest.raises(Abandoned):
        await handle_together(store, [arrival], deadline=10, span=event_opener())


@pytest.mark.parametrize("which", [0, 1])
async def test_a_deadline_is_still_a_deadline(store: Memory, which: int) -> None:
    route = replace(routes()[which], deadline=timedelta(seconds=0.01))
    with pytest.raises(TimeoutError):
        await handle(store, route, envelope(), Rung(bell="b"))


@pytest.mark.parametrize("which", [0, 1])
async def test_a_handler_that_is_told_to_stop_stops(store: Memory, which: int) -> None:
    task = asyncio.create_task(handle(store, routes()[which], envelope(), Rung(bell="b")))
    asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_published_behind_the_end_of_a_transaction_is_refused(store: Memory) -> None:
    async with store.transaction() as tx:
        timer = tx.schedule(Rung(bell="b"), at=SystemClock().now())
    with pytest.raises(ValueError, match="broke"):
        async with store.transaction() as broken:
            raise ValueError("it broke")
    for ended in (tx, broken):
        with pytest.raises(RuntimeError, match="has ended"):
            ended.publish(Rung(bell="b"))
        with pytest.raises(RuntimeError, match="has ended"):
            ended.schedule(Rung(bell="b"), at=SystemClock().now())
        with pytest.raises(RuntimeError, match="has ended"):
            ended.cancel(timer)
