"""Parked keys on both stores: kept in order, waited behind, taken up again; nothing is stranded or overtaken."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from corelib.actor import Actor, Route, receive
from corelib.clock import ManualClock, SystemClock
from corelib.consumer.handling import handle
from corelib.consumer.resume import resume
from corelib.errors import UsageError
from corelib.message import Envelope, Record, parse
from corelib.parking import MALFORMED, Resumed, failed_again, failure_of
from corelib.store import Failure, Parked, Queue, Store
from corelib.transaction import REMEMBER, Origin, Transaction
from parking.counted import BROKEN, CHANNEL, Counted, Counter, Open, numbers, parked, queued, record

FAILURE = Failure("it is bad")


@pytest.mark.parametrize("event_id", ["", "the same"])
async def test_records_that_are_no_events_are_each_parked_and_none_twice(store: Store, event_id: str) -> None:
    headers = (("ce_id", event_id),)
    bodies = [Record(CHANNEL.name, "k", headers, body) for body in (b"one", b"two")]
    records = [*bodies, Record(CHANNEL.name, "k", (), b"one")]
    for each in [*records, *records]:
        await store.parking.park(MALFORMED, each, FAILURE, attempts=1)
    found = await store.parking.list(MALFORMED)
    assert [each.record for each in found] == records
    for one in found:
        await store.parking.remove(one)
    assert await store.parking.keys() == frozenset()


async def test_a_record_of_any_size_that_kafka_takes_is_kept_whole(store: Store) -> None:
    headers = tuple((f"h-{number}", "\x01" * 900) for number in range(60))
    records = [Record(CHANNEL.name, "k", headers, bytes([number]) + b"\n\xff" * 450_000) for number in range(3)]
    await store.parking.park(MALFORMED, records[0], FAILURE, attempts=1)
    assert await store.parking.append(MALFORMED, *records[1:], *records) == 5
    found = await store.parking.list(MALFORMED, "k")
    assert [each.record for each in found] == records
    await store.parking.failed(found[0], FAILURE)
    assert (await store.parking.list())[0] == replace(found[0], attempts=2)
    for each in [*found, *found]:
        await store.parking.remove(each)
    assert await store.parking.list() == []


async def test_what_is_behind_a_record_is_listed_without_those_up_to_it(store: Store) -> None:
    await parked(store, *(record(number) for number in range(5)))
    await parked(store, record(5), handler="Other.counted")
    mine = await store.parking.list("Counter.counted", "k")
    (last,) = await store.parking.list("Other.counted")
    for asked in (("Counter.counted", "k"), ("Counter.counted",), ()):
        for at, each in enumerate(mine):
            behind = await store.parking.list(*asked, limit=2, after=int(each.id))
            there = mine if asked else [*mine, last]
            assert behind == there[at + 1 : at + 3]
    assert await store.parking.list("Counter.counted", "k", limit=2, after=int(last.id)) == []


async def test_a_parked_record_keeps_all_there_is_to_know(store: Store) -> None:
    odd = Record(CHANNEL.name, "k", (("ce_id", "1"), ("x", "y"), ("x", "z")), b"\xff\x00")
    before = SystemClock().now()
    await parked(store, odd)
    [found] = await store.parking.list()
    assert (found.handler, found.record, found.attempts) == ("Counter.counted", odd, 3)
    assert (found.reason, found.traceback) == ("ValueError: broken", "Traceback ...")
    assert abs((found.parked - before).total_seconds()) < 60
    await store.parking.failed(found, Failure("KeyError: 1", "elsewhere"))
    [again] = await store.parking.list()
    assert (again.reason, again.traceback, again.attempts) == ("KeyError: 1", "elsewhere", 4)


async def test_an_event_is_parked_once_for_a_handler_and_queues_keep_their_order(store: Store) -> None:
    records = [record(number, f"k-{number % 2}") for number in range(6)]
    await parked(store, *records, *records)
    await parked(store, records[0], handler="Other.counted")
    assert await queued(store, "k-0") == [0, 2, 4]
    assert await queued(store, "k-1") == [1, 3, 5]
    assert await store.parking.keys() == {
        ("Counter.counted", "k-0"),
        ("Counter.counted", "k-1"),
        ("Other.counted", "k-0"),
    }
    assert {handler: size.records for handler, size in (await store.parking.sizes()).items()} == {
        "Counter.counted": 6,
        "Other.counted": 1,
    }


async def test_queues_are_told_by_their_first_record_and_their_length(store: Store) -> None:
    assert await store.parking.queues() == []
    first, other = record(0, "k-0", age=timedelta(days=3)), Record(CHANNEL.name, "k-1", (("x", "y"),), b"no event")
    await parked(store, first, other)
    assert await store.parking.append("Counter.counted", record(1, "k-0"), record(2, "k-0"))
    await parked(store, first, handler="Other.counted")
    listed = await store.parking.list()
    told = [
        Queue("Counter.counted", "k-0", 3, listed[0].parked, BROKEN.reason, Envelope.of(first).time),
        Queue("Counter.counted", "k-1", 1, listed[1].parked, BROKEN.reason, None),
        Queue("Other.counted", "k-0", 1, listed[4].parked, BROKEN.reason, Envelope.of(first).time),
    ]
    assert await store.parking.queues() == told
    await store.parking.remove(listed[0])
    waiting, *others = sorted(await store.parking.queues(), key=lambda queue: (queue.handler, queue.key))
    assert (waiting.records, waiting.reason) == (2, listed[2].reason)
    assert others == told[1:]


async def test_a_key_is_parked_exactly_as_long_as_its_queue_is_not_empty(store: Store) -> None:
    assert not await store.parking.append("Counter.counted", record(0))
    await parked(store, record(1))
    assert await store.parking.append("Counter.counted", record(2))
    assert not await store.parking.append("Counter.counted", record(3, "another"))
    assert not await store.parking.append("Other.counted", record(4))
    assert await queued(store) == [1, 2]
    for each in await store.parking.list():
        await store.parking.remove(each)
        await store.parking.remove(each)
    assert await store.parking.keys() == frozenset()
    assert await store.parking.sizes() == {}
    assert not await store.parking.append("Counter.counted", record(5))


async def test_records_leave_and_join_together(store: Store) -> None:
    await parked(store, record(0), record(9, "another"))
    assert await store.parking.append("Counter.counted", *map(record, range(1, 100))) == 99
    first, second, *others = await store.parking.list("Counter.counted", "k")
    await store.parking.remove(second)
    await store.parking.remove(first, second, *others[:70])
    assert await queued(store) == list(range(72, 100))
    assert {size.records for size in (await store.parking.sizes()).values()} == {29}
    await store.parking.remove(*others)
    assert await store.parking.keys() == {("Counter.counted", "another")}


async def test_a_key_with_every_odd_character_is_a_key(store: Store) -> None:
    for key in ("#", "a#b", "\x00", "ü" * 600, ""):
        await parked(store, record(1, key))
        assert await store.parking.append("Counter.counted", record(2, key))
        assert await queued(store, key) == [1, 2]


async def test_a_resumed_key_is_handled_in_order_until_one_fails(store: Store) -> None:
    actor = Counter(failing={2})
    await parked(store, *map(record, range(4)))
    resumed = await resume(store, list(actor.routes()), "Counter.counted", "k")
    assert (resumed.handled, actor.seen) == (2, [0, 1])
    assert resumed.failure
    assert resumed.failure.reason == "ValueError: cannot count 2"
    assert "in counted" in resumed.failure.traceback
    assert await queued(store) == [2, 3]
    assert [each.attempts for each in await store.parking.list()] == [4, 3]
    actor.failing.clear()
    assert await resume(store, list(actor.routes()), "Counter.counted", "k") == Resumed(2)
    assert actor.seen == [0, 1, 2, 3]
    assert await store.parking.keys() == frozenset()


async def test_what_fails_again_keeps_what_it_was_parked_for_and_what_the_latest_try_failed_of(store: Store) -> None:
    actor = Counter(failing={0, 1})
    await parked(store, record(0))
    assert await store.parking.append("Counter.counted", record(1))
    for _ in range(3):
        resumed = await resume(store, list(actor.routes()), "Counter.counted", "k")
        assert resumed.failure
        assert resumed.failure.reason == "ValueError: cannot count 0"
    [first, waiting] = await store.parking.list("Counter.counted", "k")
    assert (first.reason, first.attempts) == (BROKEN.reason, 6)
    assert first.traceback.startswith(f"{BROKEN.traceback}\nTried again, it failed of ValueError: cannot count 0\n")
    assert first.traceback.count("Tried again") == 1
    assert "in counted" in first.traceback
    await store.parking.remove(first)
    await resume(store, list(actor.routes()), "Counter.counted", "k")
    [waited] = await store.parking.list("Counter.counted", "k")
    assert (waiting.attempts, waited.attempts) == (0, 1)
    assert waited.reason == "ValueError: cannot count 1"


async def test_a_skipped_record_lets_those_behind_it_go_on(store: Store) -> None:
    actor = Counter(failing={0})
    await parked(store, record(0), record(1))
    [first] = await store.parking.list("Counter.counted", "k", limit=1)
    assert numbers([first.record]) == [0]
    await store.parking.remove(first)
    assert await resume(store, list(actor.routes()), "Counter.counted", "k") == Resumed(1)
    assert actor.seen == [1]
    await store.parking.remove(first)


async def test_a_long_queue_is_read_in_parts_and_handled_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []
    whole = store.parking.list

    async def some(handler: str | None = None, key: str | None = None, *, limit: int | None = None) -> Sequence[Parked]:
        asked.append(limit)
        return await whole(handler, key, limit=limit)

    monkeypatch.setattr(store.parking, "list", some)
    monkeypatch.setattr("corelib.consumer.resume.AT_ONCE", 2)
    actor = Counter()
    await parked(store, record(7, "another"), *map(record, range(5)))
    assert numbers([each.record for each in await whole("Counter.counted", "k", limit=3)]) == [0, 1, 2]
    assert await resume(store, list(actor.routes()), "Counter.counted", "k") == Resumed(5)
    assert actor.seen == list(range(5))
    assert asked == [2, 2, 2, 2]


async def test_a_record_of_a_handler_that_is_gone_can_only_be_skipped(store: Store) -> None:
    await parked(store, record(0), handler="Gone.counted")
    with pytest.raises(UsageError, match=r"no handler 'Gone\.counted'"):
        await resume(store, list(Counter().routes()), "Gone.counted", "k")
    await store.parking.remove((await store.parking.list("Gone.counted", "k"))[0])


async def _handled_and_parked(store: Store, route: Route, each: Record) -> None:
    """What a retry leaves that is killed once it has handled a record."""
    await parked(store, each, handler=route.name)
    await handle(store, route, Envelope.of(each), parse(each, route.event))


async def _handled_and_waiting(store: Store, route: Route, each: Record) -> None:
    """What comes again, handled long since, of a key that was parked meanwhile: nobody asks before it waits."""
    await handle(store, route, Envelope.of(each), parse(each, route.event))
    await parked(store, record(0), handler=route.name)
    assert await store.parking.append(route.name, each)


_WAYS = pytest.mark.parametrize("come_to_be", [_handled_and_parked, _handled_and_waiting])
Way = Callable[[Store, Route, Record], Awaitable[None]]


class Echo(Actor):
    """Its effects are in the outbox."""

    @receive
    async def counted(self, event: Counted, tx: Transaction) -> None:
        tx.publish(event)


async def _effects(store: Store) -> list[int]:
    """Return what an `Echo` did, once for each time that it was committed."""
    reader = store.outbox("kafka", frozenset({CHANNEL.name}))
    assert await reader.acquire("test")
    return sorted(numbers([pending.record for pending in await reader.read(100)]))


@_WAYS
async def test_what_is_parked_though_it_was_handled_has_its_effect_once(store: Store, come_to_be: Way) -> None:
    [route] = Echo().routes()
    await come_to_be(store, route, record(1))
    waiting = await queued(store, handler=route.name)
    assert await resume(store, [route], route.name, "k") == Resumed(len(waiting))
    assert await _effects(store) == sorted(waiting)


@_WAYS
async def test_what_is_parked_for_longer_than_marks_are_kept_can_only_be_skipped(store: Store, come_to_be: Way) -> None:
    """Its row does not tell that it had no effect."""
    [route] = Echo().routes()
    await come_to_be(store, route, record(1))
    await store.close()
    later = ManualClock(datetime.now(UTC) + REMEMBER + timedelta(hours=1))
    await store.open(Origin("test", later, frozenset({Counted})))
    queue = await queued(store, handler=route.name)
    assert 1 in queue
    for _ in queue:
        resumed = await resume(store, [route], route.name, "k")
        assert resumed.failure
        assert resumed.failure.reason.startswith("Forgotten: ")
        await store.parking.remove((await store.parking.list(route.name, "k"))[0])
    assert await _effects(store) == [1]


async def test_a_record_that_is_no_event_stays_until_it_is_skipped(store: Store) -> None:
    await parked(store, Record(CHANNEL.name, "k", (), b"\x00nonsense"), handler=MALFORMED)
    resumed = await resume(store, list(Counter().routes()), MALFORMED, "k")
    assert resumed.failure
    assert resumed.failure.reason.startswith("Malformed: ")
    await store.parking.remove((await store.parking.list(MALFORMED, "k"))[0])
    assert await store.parking.list() == []


async def test_resuming_from_everywhere_at_once_handles_each_record_once_and_in_order(replica: Open) -> None:
    stores = [await replica() for _ in range(3)]
    actor = Counter()
    routes = list(actor.routes())
    await parked(stores[0], *map(record, range(20)))
    await asyncio.gather(*(resume(store, routes, "Counter.counted", "k") for store in stores))
    assert _first_times(actor.seen) == list(range(20))
    assert await stores[0].parking.keys() == frozenset()


async def _deliver(store: Store, route: Route, each: Record) -> None:
    """What a consumer does with a record of a key that it believes parked."""
    if not await store.parking.append(route.name, each):
        event = Counted.model_validate_json(each.payload)
        await handle(store, route, Envelope.of(each), event)


@pytest.mark.parametrize("seed", range(3))
async def test_no_record_overtakes_those_that_wait_while_a_key_is_resumed(replica: Open, seed: int) -> None:
    consuming, commanding = await replica(), await replica()
    chance = random.Random(seed)  # noqa: S311 -- a schedule, not cryptography
    actor = Counter()
    [route] = actor.routes()

    async def consume() -> None:
        for number in range(3, 40):
            await _deliver(consuming, route, record(number))
            await asyncio.sleep(chance.random() * 0.004)

    await parked(consuming, *map(record, range(3)))
    await asyncio.gather(consume(), resume(commanding, [route], "Counter.counted", "k"))
    await resume(commanding, [route], "Counter.counted", "k")
    assert _first_times(actor.seen) == list(range(40))


async def test_a_record_that_comes_as_the_last_one_leaves_is_seen_by_who_took_that_or_is_sent_on(replica: Open) -> None:
    consuming, commanding = await replica(), await replica()
    chance = random.Random(1)  # noqa: S311 -- a schedule, not cryptography

    async def take(last: Parked) -> list[int]:
        await asyncio.sleep(chance.random() * 0.002)
        await commanding.parking.remove(last)
        return await queued(commanding, last.record.key)

    async def race(key: str) -> None:
        await parked(consuming, record(0, key))
        [last] = await consuming.parking.list("Counter.counted", key)
        appended, left = await asyncio.gather(consuming.parking.append("Counter.counted", record(1, key)), take(last))
        assert left == ([1] if appended else [])
        assert (("Counter.counted", key) in await commanding.parking.keys()) == appended

    for turn in range(15):
        await asyncio.gather(*(race(f"k-{turn}-{number}") for number in range(5)))


def _first_times(numbers: list[int]) -> list[int]:
    """Two that race may both run a handler; one of them commits."""
    return list(dict.fromkeys(numbers))


def test_a_failure_is_told_in_a_line_and_its_place_is_kept_short() -> None:
    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise ValueError("x" * 10_000)

    with pytest.raises(ValueError, match="x") as caught:
        deep(300)
    failure = failure_of(caught.value)
    assert failure.reason.startswith("ValueError: xxx")
    assert len(failure.reason) <= 500
    assert len(failure.traceback) <= 8_000
    known = Parked("1", "h", record(1), failure.reason, failure.traceback, 1, SystemClock().now())
    again = failed_again(known, failure)
    assert len(again.traceback) <= 9_000
    assert failed_again(replace(known, traceback=again.traceback), failure) == again
