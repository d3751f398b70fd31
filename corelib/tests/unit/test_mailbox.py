"""Mailboxes: order per key, fairness, bounds, retries that hold up nobody, stopping."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corelib.consumer.mailbox import Mailboxes, Turn
from corelib.errors import Abandoned

Item = tuple[str, int]
Work = Callable[[Item], Awaitable[float | None]]


@asynccontextmanager
async def mailboxes(work: Work, *, concurrency: int = 4, capacity: int = 100) -> AsyncIterator[Mailboxes[Item]]:
    async def turn(items: Sequence[Item]) -> Turn:
        pause = await work(items[0])
        return Turn(1) if pause is None else Turn(0, pause)

    boxes = Mailboxes(turn, concurrency=concurrency, capacity=capacity)
    async with asyncio.timeout(30):
        yield boxes
    await boxes.cancel()


async def settled(boxes: Mailboxes[Item]) -> None:
    async with asyncio.timeout(30):
        while boxes.keys:  # noqa: ASYNC110 -- mailboxes tell no one when they are empty
            await asyncio.sleep(0)


@given(keys=st.lists(st.sampled_from("abcd"), max_size=40), workers=st.integers(1, 5))
def test_equal_keys_are_worked_on_in_order_and_never_at_the_same_time(keys: list[str], workers: int) -> None:
    async def run() -> None:
        at_work: set[str] = set()
        done: list[Item] = []

        async def work(item: Item) -> None:
            assert item[0] not in at_work
            at_work.add(item[0])
            await asyncio.sleep(0)
            at_work.remove(item[0])
            done.append(item)

        async with mailboxes(work, concurrency=workers, capacity=5) as boxes:
            for number, key in enumerate(keys):
                await boxes.submit(key, (key, number))
            await settled(boxes)
        for key in set(keys):
            assert [n for k, n in done if k == key] == [n for n, k in enumerate(keys) if k == key]

    asyncio.run(run())


async def test_different_keys_are_worked_on_at_the_same_time() -> None:
    meeting = asyncio.Barrier(3)

    async def work(_: Item) -> None:
        await meeting.wait()

    async with mailboxes(work, concurrency=3) as boxes:
        for key in "abc":
            await boxes.submit(key, (key, 0))
        await settled(boxes)


async def test_a_long_lane_keeps_no_other_key_from_its_turn() -> None:
    done: list[Item] = []

    async def work(item: Item) -> None:
        done.append(item)
        await asyncio.sleep(0)

    async with mailboxes(work, concurrency=1) as boxes:
        for number in range(10):
            await boxes.submit("long", ("long", number))
        await boxes.submit("short", ("short", 0))
        await settled(boxes)
    assert done.index(("short", 0)) <= 2


async def test_a_turn_takes_what_waits_of_a_key_and_no_more_than_may_go_together() -> None:
    turns: list[list[Item]] = []

    async def work(items: Sequence[Item]) -> Turn:
        turns.append(list(items))
        return Turn(2 if len(items) == 3 else len(items))

    boxes = Mailboxes(work, concurrency=1, together=3)
    for number in range(5):
        await boxes.submit("a", ("a", number))
    await boxes.submit("b", ("b", 0))
    await settled(boxes)
    await boxes.cancel()
    assert turns == [[("a", 0), ("a", 1), ("a", 2)], [("b", 0)], [("a", 2), ("a", 3), ("a", 4)], [("a", 4)]]


async def test_a_key_that_is_tried_again_later_occupies_no_worker_and_keeps_its_order() -> None:
    tries: list[Item] = []

    async def work(item: Item) -> float | None:
        tries.append(item)
        return 0.01 if item == ("bad", 0) and tries.count(item) < 3 else None

    async with mailboxes(work, concurrency=1) as boxes:
        for item in (("bad", 0), ("bad", 1), ("good", 0)):
            await boxes.submit(item[0], item)
        await settled(boxes)
    assert tries == [("bad", 0), ("good", 0), ("bad", 0), ("bad", 0), ("bad", 1)]


async def test_no_more_is_accepted_than_fits() -> None:
    let_go = asyncio.Event()

    async def work(_: Item) -> None:
        await let_go.wait()

    async with mailboxes(work, capacity=2) as boxes:
        await boxes.submit("a", ("a", 0))
        await boxes.submit("a", ("a", 1))
        third = asyncio.create_task(boxes.submit("b", ("b", 0)))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not third.done()
        let_go.set()
        await third


async def test_stopping_finishes_what_is_begun_and_begins_nothing_more() -> None:
    begun, done = asyncio.Event(), []

    async def work(item: Item) -> None:
        begun.set()
        await asyncio.sleep(0)
        done.append(item)

    async with mailboxes(work, concurrency=1) as boxes:
        for number in range(3):
            await boxes.submit("a", ("a", number))
        await begun.wait()
        await boxes.drain()
    assert done == [("a", 0)]


async def test_stopping_lets_nobody_wait_for_room() -> None:
    let_go = asyncio.Event()

    async def work(_: Item) -> None:
        await let_go.wait()

    async with mailboxes(work, capacity=1) as boxes:
        await boxes.submit("a", ("a", 0))
        second = asyncio.create_task(boxes.submit("b", ("b", 0)))
        await asyncio.sleep(0)
        boxes.stop()
        await second
        assert boxes.keys == 1
        let_go.set()
        await boxes.drain()


async def test_a_failure_of_the_work_itself_reaches_the_submitter() -> None:
    async def work(_: Item) -> None:
        raise ZeroDivisionError

    async with mailboxes(work, concurrency=1, capacity=1) as boxes:
        await boxes.submit("a", ("a", 0))
        with pytest.raises(ZeroDivisionError):
            await boxes.submit("a", ("a", 1))
        with pytest.raises(ZeroDivisionError):
            await boxes.drain()


async def test_work_that_another_cancelled_reaches_the_submitter_too() -> None:
    async def work(_: Item) -> None:
        raise asyncio.CancelledError

    async with mailboxes(work, concurrency=1, capacity=1) as boxes:
        await boxes.submit("a", ("a", 0))
        with pytest.raises(Abandoned):
            await boxes.submit("a", ("a", 1))
        with pytest.raises(Abandoned):
            await boxes.drain()
