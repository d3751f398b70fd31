"""A handler that does several things at the same time fails as one that does them one by one."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from corelib.actor import Actor, Effect, Route, effect, receive
from corelib.clock import SystemClock
from corelib.consumer.handling import handle
from corelib.errors import Conflict, Problem, Unavailable
from corelib.exception_groups import ungrouped
from corelib.ids import uuid7
from corelib.memory.store import Memory
from corelib.message import Channel, Envelope, Event
from corelib.transaction import Origin, Transaction


class Asked(Event, type="test.asked.v1", channels=(Channel("asked"),), key="who"):
    who: str


class Several(Actor):
    """Asks two peers at the same time."""

    def __init__(self, *fails: Exception) -> None:
        self.fails = list(fails)

    async def _peer(self) -> None:
        if self.fails:
            raise self.fails.pop(0)

    async def _both(self) -> None:
        async with asyncio.TaskGroup() as peers:
            peers.create_task(self._peer())
            peers.create_task(asyncio.sleep(0))

    @receive
    async def received(self, _event: Asked, _tx: Transaction) -> None:
        await self._both()

    @effect
    async def called(self, _event: Asked, _call: Effect) -> None:
        await self._both()


@pytest_asyncio.fixture
async def store() -> AsyncIterator[Memory]:
    store = Memory()
    await store.open(Origin("test", SystemClock(), frozenset({Asked})))
    yield store
    await store.close()


async def run(store: Memory, route: Route) -> str:
    return await handle(store, route, Envelope(uuid7(), Asked.type, "test", SystemClock().now(), "k"), Asked(who="k"))


@pytest.mark.parametrize("which", [0, 1], ids=["receive", "effect"])
async def test_what_is_down_is_no_fault_of_the_event(store: Memory, which: int) -> None:
    route = list(Several(Unavailable("peer", "away")).routes())[which]
    with pytest.raises(Unavailable, match="away"):
        await run(store, route)


async def test_a_lost_race_is_run_again(store: Memory) -> None:
    route, _ = Several(Conflict("lost")).routes()
    assert await run(store, route) == "done"


def test_of_many_failures_what_waiting_mends_is_told_and_faults_are_told_together() -> None:
    down = Unavailable("peer", "away")
    with pytest.raises(Unavailable), ungrouped:
        raise ExceptionGroup("", [ValueError("of it"), ExceptionGroup("", [Conflict("lost"), down])])
    with pytest.raises(ExceptionGroup), ungrouped:
        raise ExceptionGroup("", [ValueError("one"), KeyError("another")])
    with pytest.raises(Problem, match="full"), ungrouped:
        raise ExceptionGroup("", [Problem(409, "full", "It is full.")])
