"""Timers on DynamoDB: when the index is looked at, and what is known without a look."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from corelib.clock import ManualClock
from corelib.dynamo.store import Dynamo
from dynamo.shop import CHANNELS, MAILS, ORDERS, Mailed, Open, Placed, numbers, queries, read, reader


async def test_timers_fire_when_due_and_in_order(store: Dynamo, clock: ManualClock) -> None:
    async with store.transaction() as tx:
        for number in (3, 1, 2):
            tx.schedule(Placed(order_id="o-1", number=number), at=clock.now() + timedelta(seconds=number))
        tx.schedule(Placed(order_id="o-1", number=9), at=clock.now() + timedelta(seconds=9))
    assert await store.fire(10) == 0
    clock.advance(timedelta(seconds=5))
    assert await store.fire(10) == 3
    assert await store.fire(10) == 0
    assert numbers(await read(await reader(store))) == [1, 2, 3]


async def test_replicas_fire_a_timer_once(open_store: Open, clock: ManualClock) -> None:
    stores = [await open_store() for _ in range(3)]
    async with stores[0].transaction() as tx:
        for number in range(20):
            tx.schedule(Placed(order_id=f"o-{number}", number=number), at=clock.now())
    fired = await asyncio.gather(*(store.fire(100) for store in stores))
    assert sum(fired) == 20
    assert len(await read(await reader(stores[0]))) == 20


async def test_a_cancelled_timer_never_fires(store: Dynamo, clock: ManualClock) -> None:
    async with store.transaction() as tx:
        timer = tx.schedule(Placed(order_id="o-1"), at=clock.now())
        tx.cancel(tx.schedule(Placed(order_id="o-2"), at=clock.now()))
    async with store.transaction() as tx:
        tx.cancel(timer)
    assert await store.fire(10) == 0
    async with store.transaction() as tx:
        tx.cancel(timer)


async def test_the_largest_event_is_scheduled_on_each_of_its_channels(store: Dynamo, clock: ManualClock) -> None:
    text = "x" * 255_000
    async with store.transaction() as tx:
        tx.schedule(Mailed(order_id="o-1", text=text), at=clock.now())
    assert await store.fire(10) == 1
    for relay, channel in (("kafka", ORDERS.name), ("sqs", MAILS.name)):
        (pending,) = await read(await reader(store, relay, frozenset({channel})))
        assert Mailed.model_validate_json(pending.record.payload).text == text
        assert pending.record.channel == channel


# So long that no look in passing helps a test.
NEVER = 3600.0


async def schedule(store: Dynamo, at: datetime, number: int = 0) -> None:
    async with store.transaction() as tx:
        tx.schedule(Placed(order_id=f"o-{number}", number=number), at=at)


async def fired(store: Dynamo) -> None:
    async with asyncio.timeout(30):
        while not await store.fire(10):  # noqa: ASYNC110 -- a store is asked
            await asyncio.sleep(0.02)


async def test_asking_while_nothing_is_due_costs_no_call(open_store: Open, clock: ManualClock) -> None:
    store = await open_store(sweep_seconds=NEVER)
    await schedule(store, clock.now() + timedelta(minutes=30))
    clock.advance(timedelta(minutes=1))
    assert await store.fire(10) == 0
    before = queries()
    for _ in range(20):
        clock.advance(timedelta(minutes=1))
        assert await store.fire(10) == 0
    assert queries() == before
    clock.advance(timedelta(minutes=9))
    assert await store.fire(10) == 1


async def test_a_look_in_advance_finds_what_another_replica_scheduled(open_store: Open, clock: ManualClock) -> None:
    store, other = await open_store(sweep_seconds=NEVER), await open_store()
    await schedule(other, clock.now() + timedelta(minutes=30))
    assert await store.fire(10) == 0
    before = queries()
    clock.advance(timedelta(minutes=29))
    assert await store.fire(10) == 0
    assert queries() == before
    clock.advance(timedelta(minutes=1))
    assert await store.fire(10) == 1


async def test_without_a_stream_what_another_replica_schedules_is_found_at_the_pace_of_sweeps(
    open_store: Open, clock: ManualClock
) -> None:
    store, other = await open_store(), await open_store()
    assert await store.fire(10) == 0
    await schedule(other, clock.now())
    await fired(store)


async def test_the_stream_tells_what_another_replica_schedules(open_store: Open, clock: ManualClock) -> None:
    store, other = await open_store(sweep_seconds=NEVER), await open_store()
    await store.outbox("kafka", CHANNELS).acquire("a")
    stop = asyncio.Event()
    following = [asyncio.create_task(part.run(stop)) for part in store.parts()]
    async with asyncio.timeout(30):
        while not store._pace.streamed:  # noqa: ASYNC110 -- nothing signals it
            await asyncio.sleep(0.02)
    assert await store.fire(10) == 0
    await schedule(other, clock.now())
    await fired(store)
    stop.set()
    await asyncio.wait_for(asyncio.gather(*following), 30)


async def test_a_break_of_the_stream_calls_for_a_look(open_store: Open, clock: ManualClock) -> None:
    store, other = await open_store(sweep_seconds=NEVER), await open_store()
    store._listeners.following(whole=True)
    assert await store.fire(10) == 0
    await schedule(other, clock.now())
    assert await store.fire(10) == 0
    store._listeners.following(whole=False)
    assert await store.fire(10) == 1


async def test_what_the_index_does_not_show_yet_is_looked_for_again(open_store: Open, clock: ManualClock) -> None:
    store = await open_store(sweep_seconds=NEVER)
    hidden, client = [True], store._due._client
    call = client.call

    async def late(operation: str, **params: Any) -> dict[str, Any]:
        return {"Items": []} if operation == "Query" and hidden[0] else await call(operation, **params)

    client.call = late  # type: ignore[method-assign]
    await schedule(store, clock.now())
    assert await store.fire(10) == 0
    hidden[0] = False
    assert await store.fire(10) == 1


async def test_a_clock_that_is_set_back_delays_nothing(open_store: Open, clock: ManualClock) -> None:
    store, other = await open_store(), await open_store()
    assert await store.fire(10) == 0
    clock.advance(timedelta(days=-1))
    await schedule(other, clock.now())
    await fired(store)


async def test_more_than_is_asked_for_is_fired_at_the_next_questions(open_store: Open, clock: ManualClock) -> None:
    store, other = await open_store(sweep_seconds=NEVER), await open_store()
    for number in range(5):
        await schedule(other, clock.now(), number)
    assert [await store.fire(2) for _ in range(4)] == [2, 2, 1, 0]
