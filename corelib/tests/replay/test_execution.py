"""An operation is carried out by one process at a time, on every store, and it is told how that ended."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from corelib.clock import ManualClock
from corelib.errors import LeaseLost, UsageError
from corelib.execution import Execution, executing
from corelib.message import Record
from corelib.operation import Operation, Run
from corelib.store import CLAIM, Store
from corelib.testing.running import until
from replay.steps import Collector, Went, deliver, operation, plan, publish, replay

pytestmark = pytest.mark.parametrize("store", ["postgres", "serializable", "dynamodb", "memory"], indirect=True)


def asked() -> Operation:
    return Operation("test", "ann", "a test", {}, datetime(2026, 1, 1, tzinfo=UTC))


async def found(store: Store, begun: Operation) -> Operation:
    kept = await store.operations.find(begun.id)
    assert kept is not None
    return kept


async def killed(store: Store, clock: ManualClock) -> Execution:
    """Return what a process has in its hands that says nothing more of it."""
    work = Execution(store.operations, asked(), Run(who="ann", since=clock.now(), until=clock.now()), clock)
    await work.save({})
    return work


async def test_of_many_who_go_on_at_once_one_does_and_the_others_hear_who(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    begun = (await killed(store, clock)).operation
    clock.advance(2 * CLAIM)
    at_work, go = [], asyncio.Event()
    find, reading, all_read = store.operations.find, list(range(5)), asyncio.Barrier(5)

    async def found_by_all(number: UUID) -> Operation | None:
        kept = await find(number)
        if reading:
            reading.pop()
            await all_read.wait()
        return kept

    monkeypatch.setattr(store.operations, "find", found_by_all)

    async def go_on(who: str) -> None:
        async with executing(store.operations, begun, clock, who=who):
            at_work.append(who)
            await go.wait()

    trying = [asyncio.create_task(go_on(f"bob-{number}")) for number in range(5)]
    await until(lambda: sum(each.done() for each in trying) == 4)
    go.set()
    told = {str(each) for each in await asyncio.gather(*trying, return_exceptions=True)}
    (who,) = at_work
    refusal = (
        f"test {begun.id} is carried out by {who} since 2026-01-01 00:02:00 (UTC): wait for its end, or stop it there."
        " If its process was killed, give this command again after 00:03:00"
    )
    assert told == {refusal, "None"}
    assert (await found(store, begun)).ended == clock.now()


async def test_who_was_killed_keeps_nobody_off_for_longer_than_a_minute(store: Store) -> None:
    clock = ManualClock()
    begun = (await killed(store, clock)).operation
    clock.advance(CLAIM - timedelta(seconds=1))
    with pytest.raises(UsageError, match="by ann since 2026-01-01 00:00:00"):
        await executing(store.operations, begun, clock, who="bob").__aenter__()
    clock.advance(timedelta(seconds=1))
    async with executing(store.operations, begun, clock, who="bob"):
        pass
    with pytest.raises(UsageError, match="has ended"):
        await executing(store.operations, begun, clock, who="cyd").__aenter__()


async def test_who_lost_it_writes_nothing_of_it_any_more(store: Store) -> None:
    clock = ManualClock()
    slow = await killed(store, clock)
    await slow.save({"sent": 1})
    clock.advance(CLAIM)
    async with executing(store.operations, slow.operation, clock, who="bob") as work:
        assert work.operation.progress == {"sent": 1}
        await work.save({"sent": 2, "much": "x" * 400_000})
        with pytest.raises(LeaseLost):
            await slow.save({"sent": 7, "much": "y" * 400_000})
        kept = await found(store, slow.operation)
        assert (kept.progress, kept.run) == (work.operation.progress, work.operation.run)
    with pytest.raises(LeaseLost):
        await slow.end(None)
    assert await found(store, slow.operation) == work.operation


async def test_who_is_at_work_keeps_it_however_long_a_step_takes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corelib.execution.CLAIM", timedelta(milliseconds=300))
    clock = ManualClock()
    async with executing(store.operations, asked(), clock) as work:
        clock.advance(timedelta(hours=1))

        async def is_kept() -> bool:
            kept = await found(store, work.operation)
            return kept.run is not None and kept.run.until > clock.now()

        await until(is_kept)


async def test_what_was_stopped_can_be_gone_on_with_at_once(store: Store) -> None:
    clock, begun = ManualClock(), asked()

    async def stopped() -> None:
        async with executing(store.operations, begun, clock) as work:
            await work.save({"sent": 1})
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await stopped()
    async with executing(store.operations, begun, clock, who="bob") as work:
        assert work.operation.progress == {"sent": 1}


async def test_how_it_ended_is_told(store: Store) -> None:
    clock = ManualClock()

    async def outcome(begun: Operation, error: BaseException | None = None, *, failed: str = "") -> str:
        with contextlib.suppress(ZeroDivisionError, asyncio.CancelledError):
            async with executing(store.operations, begun, clock) as work:
                work.failed = failed
                if error:
                    raise error
        return (await found(store, begun)).outcome(clock.now())

    assert await outcome(asked()) == "2026-01-01T00:00:00+00:00"
    assert await outcome(asked(), failed="2 of 3") == "failed: 2 of 3"
    assert await outcome(asked(), ZeroDivisionError("by \0")) == "failed: ZeroDivisionError: by \ufffd"
    assert await outcome(asked(), asyncio.CancelledError()) == "interrupted"
    failing = asked()
    assert await outcome(failing, ZeroDivisionError("by none")) == "failed: ZeroDivisionError: by none"
    assert await outcome(failing) == "2026-01-01T00:00:00+00:00"
    dead = (await killed(store, clock)).operation
    assert (await found(store, dead)).outcome(clock.now()) == "at work"
    assert (await found(store, dead)).outcome(clock.now() + CLAIM) == "interrupted"


async def test_a_replay_that_is_gone_on_with_elsewhere_sends_nothing_here(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corelib.replay._MOST_AT_ONCE", 3)
    await publish(store, *(Went(who="k", number=n) for n in range(9)))
    await deliver(store)
    clock, started, second = ManualClock(), operation(plan()), Collector()
    hanging, go = asyncio.Event(), asyncio.Event()

    class Slow(Collector):
        async def send(self, records: Sequence[Record]) -> Sequence[bool]:
            sent = await super().send(records)
            hanging.set()
            await go.wait()
            return sent

    first = Slow()
    slow = asyncio.create_task(replay(store, plan(), first, clock).run(started))
    await hanging.wait()
    with pytest.raises(UsageError, match=f"replay {started.id} is carried out by ann since"):
        await replay(store, plan(), second, clock).resume(started, "bob")
    assert second.records == []
    assert len(await store.operations.list()) == 1

    clock.advance(CLAIM)
    ended = await replay(store, plan(), second, clock).resume(started, "bob")
    go.set()
    with pytest.raises(LeaseLost):
        await slow
    assert (len(first.records), len(second.records)) == (3, 9)
    assert await found(store, started) == ended
