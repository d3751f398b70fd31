"""A replay that stops in the middle is gone on with."""

import dataclasses
from typing import Any
from uuid import uuid4

import pytest

from corelib.errors import Unavailable
from corelib.kafka.broker import Kafka
from corelib.replay import Plan, Reached, Replay, Source
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
