"""A replay that stops in the middle is gone on with."""

import contextlib
import dataclasses
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from corelib.clock import ManualClock
from corelib.errors import Unavailable
from corelib.kafka.broker import Kafka
from corelib.operation import Operation
from corelib.replay import RESUMED, Plan, Reached, Replay, Source
from corelib.service import Service
from corelib.store import Store
from replay.steps import (
    LEFT,
    RIGHT,
    Collector,
    Went,
    deliver,
    numbers,
    operation,
    plan,
    publish,
    replace_source,
    replay,
    went,
)


async def test_an_interrupted_replay_goes_on_where_it_stopped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corelib.postgres.history._PAGE", 10)
    monkeypatch.setattr("corelib.dynamo.history._PAGE", 10)
    monkeypatch.setattr("corelib.replay._MOST_AT_ONCE", 3)
    monkeypatch.setattr("corelib.replay._PATIENCE_SECONDS", 0)
    for number in range(0, 100, 20):
        await publish(store, *(Went(who="k", number=n) for n in range(number, number + 20)))
    await deliver(store)
    stopped, started = Collector(refuses=lambda call: call > 6), operation(plan())
    with pytest.raises(Unavailable):
        await replay(store, plan(), stopped).run(started)
    saved = await store.operations.find(started.id)
    assert saved is not None
    assert saved.ended is None
    assert saved.progress["sent"] == len(stopped.records) == 16  # a page of ten, and of the next one two batches
    rest = Collector()
    ended = await replay(store, Plan.model_validate(saved.details), rest).run(saved)
    assert numbers([*stopped.records, *rest.records], "k") == list(range(100))
    assert ended.progress["sent"] == 100


async def test_who_goes_on_is_written_down_each_time_with_when_and_from_where(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corelib.replay._MOST_AT_ONCE", 3)
    monkeypatch.setattr("corelib.replay._PATIENCE_SECONDS", 0)
    await publish(store, *(Went(who="k", number=n) for n in range(10)))
    await deliver(store)
    clock, started = ManualClock(), operation(plan())
    with pytest.raises(Unavailable):
        await replay(store, plan(), Collector(refuses=lambda call: call > 1), clock).run(started)
    stopped, places = await found(store, started), []
    for who, reason, calls in (("bob", "", 1), ("cyd", "my shift", 9)):
        places.append(stopped.progress)
        clock.advance(timedelta(hours=1))
        with contextlib.suppress(Unavailable):
            await replay(store, plan(), Collector(refuses=calls.__lt__), clock).resume(stopped, who, reason)
        stopped = await found(store, started)
    cyds, bobs, first = await store.operations.list()
    assert (first.who, first.progress["sent"], first.ended) == ("ann", 10, clock.now())
    assert (bobs.kind, bobs.who, bobs.reason) == (RESUMED, "bob", "a test")
    assert (cyds.kind, cyds.who, cyds.reason) == (RESUMED, "cyd", "my shift")
    assert (bobs.began, cyds.began) == (clock.now() - timedelta(hours=1), clock.now())
    assert [each.details["replay"] for each in (bobs, cyds)] == [str(started.id)] * 2
    assert [each.details["from"] for each in (bobs, cyds)] == places
    assert [each.progress["from"] for each in (bobs, cyds)] == [3, 6]


async def found(store: Store, started: Operation) -> Operation:
    saved = await store.operations.find(started.id)
    assert saved is not None
    return saved


async def test_an_interrupted_replay_of_a_topic_goes_on_where_it_stopped(
    service: Service, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corelib.kafka.history._PAGE", 10)
    monkeypatch.setattr("corelib.replay._MOST_AT_ONCE", 3)
    monkeypatch.setattr("corelib.replay._PATIENCE_SECONDS", 0)
    await kafka.send([went(n, f"k{n % 5}") for n in range(100)])
    history = kafka.history([LEFT, RIGHT])
    what = replace_source(plan(), Source.TOPIC)
    started = operation(what)
    stopped: Any = Collector(refuses=lambda call: call > 20)
    rest: Any = Collector()
    with pytest.raises(Unavailable):
        await Replay(what, history, stopped, service.store.operations, service.clock).run(started)
    saved = await service.store.operations.find(started.id)
    assert saved is not None
    ended = await Replay(what, history, rest, service.store.operations, service.clock).run(saved)
    for key in range(5):
        assert numbers([*stopped.records, *rest.records], f"k{key}") == list(range(key, 100, 5))
    assert ended.progress["sent"] == 100


async def test_what_is_gone_meanwhile_is_not_waited_for_and_nothing_behind_it_is_passed_over(store: Store) -> None:
    await publish(store, *(Went(who="k", number=n) for n in range(5)))
    await deliver(store)
    at = Reached(last=(LEFT.name, str(uuid4())), sent=3)
    collector = Collector()
    await replay(store, plan(), collector).run(dataclasses.replace(operation(plan()), progress=at.model_dump()))
    assert numbers(collector.records, "k") == list(range(5))


async def test_a_broker_that_comes_back_is_waited_for(store: Store) -> None:
    await publish(store, Went(who="k", number=1))
    await deliver(store)
    flaky = Collector(refuses=lambda call: call < 3)
    await replay(store, plan(), flaky).run(operation(plan()))
    assert numbers(flaky.records, "k") == [1]
