"""Effects on every store with every broker: whatever cuts one off, the outside hears one key, and one outcome stays."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from contract.stand import Charged, Counted, Stand, write
from corelib.actor import Actor, Effect, effect, receive
from corelib.broker import Delivery
from corelib.clock import SystemClock
from corelib.consumer.handling import handle
from corelib.ids import uuid7
from corelib.message import Envelope, parse
from corelib.store import Store
from corelib.testing.running import parts_running, until
from corelib.transaction import Transaction

BEFORE_THE_CALL, AFTER_THE_CALL, BEFORE_IT_IS_DONE = "before the call", "after the call", "before it is done"


@dataclass
class Way:
    """The steps of events through an effect, up to the one at which the process dies."""

    end: tuple[str, int] | None = None
    steps: list[tuple[str, int]] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def step(self, name: str, number: int) -> None:
        self.steps.append((name, number))
        if (name, number) == self.end:
            self.ended.set()
            await asyncio.Event().wait()


@dataclass(frozen=True)
class Till(Actor):
    way: Way = field(default_factory=Way)
    fails: int = 0
    calls: list[tuple[int, str]] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)

    @effect()
    async def charge(self, event: Counted, call: Effect) -> Charged:
        await self.way.step(BEFORE_THE_CALL, event.number)
        self.calls.append((event.number, call.idempotency_key))
        self.attempts.append(call.attempt)
        if len(self.calls) <= self.fails:
            raise ConnectionError("the provider hung up")
        await self.way.step(AFTER_THE_CALL, event.number)
        return Charged(name=event.name, number=event.number)

    @receive
    async def charged(self, event: Charged, tx: Transaction) -> None:
        await write(tx, event.name, event.number)


class Watched:
    """A subscription whose `done`, for events that the effect handled, is a step too."""

    def __init__(self, subscription: Any, way: Way) -> None:
        self._subscription = subscription
        self._way = way

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subscription, name)

    async def done(self, delivery: Delivery) -> None:
        if Envelope.of(delivery.record).type == Counted.type:
            await self._way.step(BEFORE_IT_IS_DONE, parse(delivery.record, Counted).number)
        await self._subscription.done(delivery)


async def consume(stand: Stand, till: Till, condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Consume until a condition holds, and die there: nothing is drained."""
    consumer = stand.consumer(till, lambda subscription: Watched(subscription, till.way))
    consuming = asyncio.create_task(consumer.run(asyncio.Event()))
    try:
        await until(condition)
    finally:
        consuming.cancel()
        await asyncio.wait([consuming])


async def test_an_effect_cut_off_anywhere_calls_with_its_key_only_and_has_one_outcome_in_order(stand: Stand) -> None:
    till = Till()
    await stand.publish(*(Counted(name="k", number=number) for number in range(4)))
    async with parts_running(stand.relay()):
        for number, step in enumerate((BEFORE_THE_CALL, AFTER_THE_CALL, BEFORE_IT_IS_DONE)):
            till.way.end = (step, number)
            till.way.ended.clear()
            await consume(stand, till, till.way.ended.is_set)
        till.way.end = None
        await consume(stand, till, stand.saw("k", 0, 1, 2, 3))
    assert till.way.steps.count((BEFORE_IT_IS_DONE, 2)) > 1
    assert [number for number, _ in till.calls] == [0, 1, 1, 2, 3]
    assert len(set(till.calls)) == len({key for _, key in till.calls}) == 4


async def test_an_effect_that_fails_is_told_its_attempt_and_keeps_its_key(stand: Stand) -> None:
    till = Till(fails=1)
    async with stand.running(till):
        await stand.publish(Counted(name="k", number=1))
        await until(stand.saw("k", 1))
    assert till.attempts == [1, 2]
    assert len(set(till.calls)) == 1


async def test_an_effect_that_hangs_ends_at_its_deadline(store: Store) -> None:
    till = Till(Way(end=(BEFORE_THE_CALL, 1)))
    route = replace(next(till.routes()), deadline=timedelta(seconds=0.05))
    envelope = Envelope(uuid7(), Counted.type, "test", SystemClock().now(), "k")
    with pytest.raises(TimeoutError):
        await handle(store, route, envelope, Counted(name="k", number=1))
