"""One contract for every store with every broker: atomic, nothing lost, once, in order, poison contained."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from contract.stand import Counted, Stand, write
from corelib.actor import Actor, receive
from corelib.clock import SystemClock
from corelib.consumer.resume import resume
from corelib.errors import TooLarge
from corelib.history import Selection
from corelib.message import Record
from corelib.operation import Operation
from corelib.parking import MALFORMED
from corelib.replay import KIND, Plan, Replay, Source
from corelib.testing.running import until
from corelib.transaction import Transaction


@dataclass(frozen=True)
class Counter(Actor):
    failing: set[int] = field(default_factory=set)
    called: list[int] = field(default_factory=list)

    @receive
    async def counted(self, event: Counted, tx: Transaction) -> None:
        self.called.append(event.number)
        await write(tx, event.name, event.number)
        if event.number in self.failing:
            raise ValueError(f"cannot count {event.number}")


class Killed:
    """The outbox of a relay that dies once its broker took something, before that is marked."""

    def __init__(self, outbox: Any) -> None:
        self._outbox = outbox

    def __getattr__(self, name: str) -> Any:
        return getattr(self._outbox, name)

    async def acknowledge(self, _: object) -> None:
        raise asyncio.CancelledError

    commit = passed = acknowledge


async def test_every_event_has_its_effect_once_in_order_of_its_key(stand: Stand) -> None:
    await stand.publish(*(Counted(name=f"key-{n % 3}", number=n) for n in range(15)))
    async with stand.running(Counter()):
        await stand.publish(*(Counted(name=f"key-{n % 3}", number=n) for n in range(15, 30)))
        for key in range(3):
            await until(stand.saw(f"key-{key}", *range(key, 30, 3)))


async def test_what_is_rolled_back_is_neither_kept_nor_sent(stand: Stand) -> None:
    async def fail() -> None:
        async with stand.store.transaction() as tx:
            await write(tx, "ghost", 1)
            tx.publish(Counted(name="ghost", number=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with stand.running(Counter()):
        await stand.publish(Counted(name="real", number=1))
        await until(stand.saw("real", 1))
    assert await stand.seen("ghost") == []


async def test_a_replay_reaches_the_handler_and_changes_nothing(stand: Stand) -> None:
    actor = Counter()
    selection = Selection(channels=frozenset({stand.channel.name}))
    plan = Plan(source=Source.OUTBOX, transport=stand.channel.transport, selection=selection)
    work = Replay(plan, stand.store.history("relay"), stand.broker, stand.store.operations, SystemClock())
    async with stand.running(actor):
        await stand.publish(*(Counted(name="k", number=n) for n in range(3)))
        await until(stand.saw("k", 0, 1, 2))

        async def all_sent() -> bool:
            return (await work.count()).records == 3

        await until(all_sent)
        before = len(actor.called)
        await work.run(Operation(KIND, "ann", "a test", {}, datetime.now(UTC)))

        async def called_again() -> bool:
            return {*actor.called[before:]} == {0, 1, 2}

        await until(called_again)
        await stand.publish(Counted(name="k", number=3))
        await until(stand.saw("k", 0, 1, 2, 3))


async def test_poison_parks_its_key_while_others_flow_and_is_taken_up_again(stand: Stand) -> None:
    actor = Counter(failing={1})
    async with stand.running(actor):
        await stand.publish(*(Counted(name=name, number=n) for n, name in ((0, "bad"), (1, "bad"), (2, "bad"))))
        await stand.publish(Counted(name="good", number=7))
        await until(stand.saw("good", 7))

        async def parked() -> bool:
            return len(await stand.store.parking.list("Counter.counted", "bad")) == 2

        await until(parked)
        first, behind = await stand.store.parking.list("Counter.counted", "bad")
        assert (first.reason, first.attempts) == ("ValueError: cannot count 1", 2)
        assert behind.attempts == 0
        assert await stand.seen("bad") == [0]
        actor.failing.clear()
        resumed = await resume(stand.store, list(actor.routes()), "Counter.counted", "bad")
        # What was handled may wait here as well: a stalled consumer is thought dead, and its records come again.
        assert (resumed.failure, resumed.handled >= 2) == (None, True)
        await stand.publish(Counted(name="bad", number=3))
        await until(stand.saw("bad", 0, 1, 2, 3))


async def test_a_timer_fires_once_and_not_before_its_time(stand: Stand) -> None:
    async with stand.running(Counter()):
        due = datetime.now(UTC) + timedelta(milliseconds=300)
        async with stand.store.transaction() as tx:
            tx.schedule(Counted(name="late", number=1), at=due)
            gone = tx.schedule(Counted(name="never", number=1), at=datetime.now(UTC))
            tx.cancel(gone)
        await until(stand.saw("late", 1))
        assert datetime.now(UTC) >= due
        await stand.publish(Counted(name="late", number=2), Counted(name="never", number=2))
        await until(stand.saw("late", 1, 2))
        await until(stand.saw("never", 2))


async def test_an_event_too_large_is_refused_when_it_is_published_and_one_that_just_fits_arrives(stand: Stand) -> None:
    with pytest.raises(TooLarge, match="takes 262144"):
        await stand.publish(Counted(name="k", number=1, padding="x" * 262_144))
    async with stand.running(Counter()):
        await stand.publish(Counted(name="k", number=2, padding="x" * 261_000))
        await until(stand.saw("k", 2))


async def test_a_relay_killed_before_it_marks_what_it_sent_loses_and_doubles_nothing(stand: Stand) -> None:
    await stand.publish(*(Counted(name="k", number=n) for n in range(20)))
    with pytest.raises(asyncio.CancelledError):
        await stand.relay(Killed).run(asyncio.Event())
    async with stand.running(Counter()):
        await stand.publish(Counted(name="k", number=20))
        await until(stand.saw("k", *range(21)))


async def test_what_is_no_event_is_parked_and_the_rest_flow(stand: Stand) -> None:
    async def parked() -> bool:
        return [each.record.payload for each in await stand.store.parking.list(MALFORMED)] == [b"nonsense"]

    await stand.broker.send([Record(stand.channel.name, "k", (("ce_id", "none"),), b"nonsense")])
    with capture_logs() as logs:
        async with stand.running(Counter()):
            await stand.publish(Counted(name="k", number=1))
            await until(stand.saw("k", 1))
            await until(parked)
    told = [(each["channel"], each["key"]) for each in logs if each["event"] == "what is no event is parked"]
    assert told == [(stand.channel.name, "k")]
