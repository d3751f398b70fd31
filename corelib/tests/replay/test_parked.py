"""Sending again what is parked."""

from typing import Any

import pytest

from corelib.clock import SystemClock
from corelib.errors import Unavailable
from corelib.history import Page
from corelib.kafka.broker import Kafka
from corelib.message import Record
from corelib.parked_history import ParkedHistory
from corelib.replay import Replay, Source
from corelib.service import Service
from corelib.store import Failure, Store
from replay.steps import (
    LAB,
    Collector,
    Went,
    everything,
    numbers,
    operation,
    plan,
    replace_source,
    replayed,
    went,
)

on_each_store = pytest.mark.parametrize("store", ["postgres", "dynamodb", "memory"], indirect=True)


async def park(store: Store, *records: Record, handlers: tuple[str, ...] = ("A.went", "B.went")) -> None:
    for record in records:
        for handler in handlers:
            await store.parking.park(handler, record, Failure("bad"), attempts=1)


async def test_a_parked_key_is_sent_once_however_many_handlers_parked_it(service: Service, kafka: Kafka) -> None:
    await park(service.store, went(1), went(2), went(3, "other"))
    what = replace_source(plan(keys={"k"}), Source.PARKED)
    tally, _ = await replayed(service, what.model_copy(update={"target": LAB.name}))
    assert tally.records == 2
    assert [Went.model_validate_json(record.payload).number for record in await everything(kafka, LAB)] == [1, 2]
    assert len(await service.store.parking.list()) == 6


@on_each_store
async def test_what_is_parked_is_read_in_pages_in_order_and_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corelib.parked_history.AT_ONCE", 5)
    records = [went(number, f"k{number % 2}") for number in range(40)]
    await park(store, *records[:11], handlers=("A.went",))
    await park(store, *records[11:], went(99, "other"))
    what = plan(keys={"k0", "k1"})
    pages: list[Page] = [page async for page in ParkedHistory(store.parking).pages(what.selection)]
    assert max(len(page.records) for page in pages) <= 10
    for key in range(2):
        of_the_key = [past.record for page in pages for past in page.records if past.record.key == f"k{key}"]
        assert numbers(of_the_key, f"k{key}") == list(range(key, 40, 2))


@on_each_store
async def test_an_interrupted_replay_of_what_is_parked_goes_on_where_it_stopped(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corelib.parked_history.AT_ONCE", 5)
    monkeypatch.setattr("corelib.replay._MOST_AT_ONCE", 3)
    monkeypatch.setattr("corelib.replay._PATIENCE_SECONDS", 0)
    await park(store, *(went(number, f"k{number % 2}") for number in range(40)), handlers=("A.went",))
    what, stopped, rest = replace_source(plan(), Source.PARKED), Collector(lambda call: call > 11), Collector()
    started = operation(what)

    def replay(to: Any) -> Replay:
        return Replay(what, ParkedHistory(store.parking), to, store.operations, SystemClock())

    with pytest.raises(Unavailable):
        await replay(stopped).run(started)
    # Five pages of the first key's, two batches each, and of the other key's first page one.
    assert len(stopped.records) == 4 * 5 + 5 + 3
    ended = await replay(rest).run(started)
    for key in range(2):
        assert numbers([*stopped.records, *rest.records], f"k{key}") == list(range(key, 40, 2))
    assert ended.progress["sent"] == 40
