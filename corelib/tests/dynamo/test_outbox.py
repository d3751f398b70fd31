"""The outbox on DynamoDB: in sequence, whoever wrote, whatever the index shows."""

import asyncio
from datetime import timedelta

import pytest

from corelib.clock import ManualClock
from corelib.dynamo.layout import Entry
from corelib.dynamo.store import Dynamo
from corelib.errors import Conflict
from dynamo.shop import Mailed, Open, Placed, numbers, place, queries, read, reader


async def test_records_are_read_again_until_acknowledged(store: Dynamo) -> None:
    await place(store, "o-1", 0, 1)
    await place(store, "o-1", 2)
    outbox = await reader(store)
    assert numbers(await read(outbox)) == [0, 1, 2]
    pending = await read(outbox)
    await outbox.acknowledge(pending[:2])
    assert numbers(await read(outbox)) == [2]
    await outbox.acknowledge(await read(outbox))
    assert await read(outbox) == []
    await outbox.release()
    assert await read(await reader(store)) == []


async def test_another_replica_goes_on_in_sequence(open_store: Open) -> None:
    first, second = await open_store(), await open_store()
    for number in range(6):
        await place((first, second)[number % 2], "o-1", number)
    assert numbers(await read(await reader(first))) == list(range(6))


async def test_commits_in_this_process_reach_the_relay_without_a_query(store: Dynamo) -> None:
    outbox = await reader(store)
    assert await read(outbox) == []
    wake = store.committed()
    await place(store, "o-1", 0)
    await asyncio.wait_for(wake.wait(10), 1)
    outbox._sweep_at = float("inf")  # no sweep may help
    assert numbers(await read(outbox)) == [0]


async def test_each_relay_is_woken(store: Dynamo) -> None:
    wakes = [store.committed(), store.committed()]
    await place(store, "o-1", 0)
    for wake in wakes:
        await asyncio.wait_for(wake.wait(10), 1)


async def test_an_entry_that_the_index_shows_too_early_waits_for_its_predecessors(open_store: Open) -> None:
    writer, relaying = await open_store(), await open_store()
    outbox = await reader(relaying)
    assert await read(outbox) == []
    for number in range(14):
        await place(writer, "o-1", number)
    other = await reader(writer, "other")
    shown = [entry.position for entry in await read(other) if isinstance(entry.position, Entry)]
    outbox._sweep_at = float("inf")
    outbox.offer(shown[-1:])
    assert numbers(await read(outbox)) == list(range(14))


async def test_a_gap_of_any_length_costs_a_read_a_page_and_is_filled_from_its_beginning(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corelib.dynamo.outbox._PAGE", 10)
    writer, relaying = await open_store(), await open_store()
    outbox = await reader(relaying)
    assert await read(outbox) == []
    for number in range(0, 35, 5):
        await place(writer, "o-1", *range(number, number + 5))
    other = await reader(writer, "other")
    everything = await other.read(100)
    while len(everything) < 35:
        everything = await other.read(100)
    last = everything[-1].position
    assert isinstance(last, Entry)
    outbox._sweep_at = float("inf")
    outbox.offer([last])
    assert await read(outbox) == []
    assert len(outbox._waiting) == 0
    found: list[int] = []
    async with asyncio.timeout(30):
        while len(found) < 35:
            some = [*await outbox.read(100)]
            found += numbers(some)
            await outbox.acknowledge(some)
    assert found == list(range(35))


async def test_a_full_memory_is_sent_of_before_gaps_are_read(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, relaying = await open_store(), await open_store()
    outbox, other = await reader(relaying), await reader(writer, "other")
    gaps, ready = [f"o-{number}" for number in range(2, 6)], "o-1"
    for key in (*gaps, ready):
        async with writer.transaction() as tx:
            for number in range(10):
                tx.publish(Placed(order_id=key, number=number, text="x" * 10_000))
    positions = [each.position for each in await read(other)]
    entries = [each for each in positions if isinstance(each, Entry)]
    monkeypatch.setattr("corelib.dynamo.waiting._MOST_BYTES", 100_000)
    monkeypatch.setattr("corelib.dynamo.waiting._MOST_BYTES_AT_ONCE", 25_000)
    outbox.offer([each for each in entries if each.record.key in gaps and each.sequence == 9])
    outbox.offer([each for each in entries if each.record.key == ready])
    outbox._sweep_at = float("inf")
    before = queries()
    first = await read(outbox)
    assert (numbers(first), queries(), outbox._waiting.full) == ([0, 1, 2], before, True)
    found = {key: numbers(first, key) for key in (*gaps, ready)}
    async with asyncio.timeout(30):
        while sum(map(len, found.values())) < 5 * 10 - 4:
            await outbox.acknowledge(first)
            first = await read(outbox)
            for key in found:
                found[key] += numbers(first, key)
    assert found == {**{key: list(range(10)) for key in gaps}, ready: list(range(6))}


async def test_who_fills_the_memory_anew_does_not_let_a_stream_with_a_gap_wait(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store()
    outbox = await reader(store)
    await place(store, "o-2", 0)
    await outbox.acknowledge(await read(outbox))
    await outbox.release()
    await place(store, "o-2", 1)  # behind one of which the next relay does not know that it was sent
    await place(store, "o-1", *range(10))
    monkeypatch.setattr("corelib.dynamo.waiting._MOST_ENTRIES", 5)
    outbox = await reader(store)
    pending = await read(outbox)
    assert outbox._waiting.full
    assert (numbers(pending, "o-1"), numbers(pending, "o-2")) == (list(range(10)), [1])


async def test_a_restarted_relay_goes_on_after_what_was_sent(open_store: Open) -> None:
    first = await open_store()
    outbox = await reader(first)
    await place(first, "o-1", 0, 1)
    await outbox.acknowledge(await read(outbox))
    await outbox.release()
    second = await open_store()
    await place(second, "o-1", 2)
    assert numbers(await read(await reader(second))) == [2]


async def test_concurrent_publishers_of_one_key_lose_nothing(open_store: Open) -> None:
    stores = [await open_store(), await open_store()]
    done: list[int] = []

    async def publish(number: int) -> None:
        while True:
            try:
                await place(stores[number % 2], "o-1", number)
            except Conflict:
                continue
            done.append(number)
            return

    await asyncio.gather(*(publish(number) for number in range(30)))
    pending = await read(await reader(stores[0]))
    assert sorted(numbers(pending)) == list(range(30))
    assert [entry.position.sequence for entry in pending if isinstance(entry.position, Entry)] == list(range(30))


async def test_relays_read_only_their_channels(store: Dynamo) -> None:
    async with store.transaction() as tx:
        tx.publish(Mailed(order_id="o-1"))
    kafka, sqs = await reader(store), await reader(store, "sqs", frozenset({"mails"}))
    assert {entry.record.channel for entry in await read(kafka)} == {"orders"}
    assert {entry.record.channel for entry in await read(sqs)} == {"mails"}


async def test_a_backlog_larger_than_a_page_drains_in_order(open_store: Open) -> None:
    store = await open_store()
    for batch in range(40):
        await place(store, f"o-{batch % 3}", *range(batch * 48, batch * 48 + 48))
    outbox = await reader(await open_store())
    seen: dict[str, list[int]] = {f"o-{number}": [] for number in range(3)}
    for _ in range(100):
        pending = await read(outbox, 300)
        for key, found in seen.items():
            found.extend(numbers(pending, key))
        await outbox.acknowledge(pending)
    assert sum(map(len, seen.values())) == 40 * 48
    assert all(found == sorted(found) for found in seen.values())


async def test_lag_is_the_age_of_the_oldest_record(store: Dynamo, clock: ManualClock) -> None:
    outbox = await reader(store)
    assert await outbox.lag_seconds() == 0.0
    await place(store, "o-1", 0)
    clock.advance(timedelta(seconds=3))
    await place(store, "o-2", 0)
    assert await outbox.lag_seconds() == 3.0
    await outbox.acknowledge(await read(outbox))
    assert await outbox.lag_seconds() == 0.0


async def test_an_acknowledgement_left_half_done_is_finished(open_store: Open, clock: ManualClock) -> None:
    store = await open_store()
    await place(store, "o-1", 0, 1, 2)
    crashed = await reader(store)
    await crashed.acknowledge((await read(crashed))[1:])  # entry 0 stayed behind, though it was sent before 1 and 2
    await crashed.release()
    outbox = await reader(store)
    outbox._sweep_at = float("inf")
    await place(store, "o-1", 3)
    assert numbers(await read(outbox)) == [3]
    await outbox.acknowledge(await read(outbox))
    clock.advance(timedelta(minutes=1))
    outbox._sweep_at = 0.0
    assert await read(outbox) == []
    await outbox.release()
    assert await read(await reader(store)) == []


async def test_times_rise_within_a_stream_whoever_wrote_by_whatever_clock(open_store: Open, clock: ManualClock) -> None:
    ahead, behind = await open_store(), await open_store()
    await place(ahead, "o-1", 1, 2)
    clock.advance(timedelta(seconds=-5))
    await place(behind, "o-1", 3)
    await place(ahead, "o-1", 4)
    pending = await read(await reader(ahead))
    assert numbers(pending) == [1, 2, 3, 4]
    times = [entry.position.committed for entry in pending if isinstance(entry.position, Entry)]
    assert times == sorted(set(times))
