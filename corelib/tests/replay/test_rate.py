"""How fast a replay goes, in virtual time."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.clock import SystemClock
from corelib.history import Selection
from corelib.memory.store import Memory
from corelib.message import Channel, Event, Record
from corelib.operation import Operation
from corelib.replay import KIND, Plan, Replay, Source
from corelib.testing.virtual_loop import VirtualLoop
from corelib.transaction import Origin

CHANNEL = Channel("steps")
CHANNELS = frozenset({CHANNEL.name})


class Stepped(Event, type="test.stepped.v1", channels=(CHANNEL,), key="who"):
    who: str


class Stopwatch:
    """A publisher that notes when it is given how many records; some calls take it some seconds."""

    name = "stopwatch"

    def __init__(self, takes: Mapping[int, float]) -> None:
        self.takes = takes
        self.sent: list[tuple[float, int]] = []

    async def send(self, records: Sequence[Record]) -> Sequence[bool]:
        self.sent.append((asyncio.get_running_loop().time(), len(records)))
        await asyncio.sleep(self.takes.get(len(self.sent), 0.0))
        return [True] * len(records)


async def replayed(count: int, rate: float, takes: Mapping[int, float]) -> list[tuple[float, int]]:
    """Return when how many of so many events were sent again."""
    store, stopwatch = Memory(), Stopwatch(takes)
    await store.open(Origin("test", SystemClock(), frozenset({Stepped})))
    async with store.transaction() as tx:
        for number in range(count):
            tx.publish(Stepped(who=f"k{number}"))
    reader = store.outbox("kafka", CHANNELS)
    assert await reader.acquire("test")
    while pending := await reader.read(1_000):
        await reader.acknowledge(pending)
    plan = Plan(source=Source.OUTBOX, transport="kafka", selection=Selection(channels=CHANNELS), rate=rate)
    publisher: Any = stopwatch  # only `send` is used
    work = Replay(plan, store.history("kafka"), publisher, store.operations, SystemClock())
    await work.run(Operation(KIND, "ann", "a test", {}, datetime.now(UTC)))
    return stopwatch.sent


@given(
    count=st.integers(1, 600),
    rate=st.floats(0.1, 2_000),
    takes=st.dictionaries(st.integers(1, 20), st.floats(0, 120), max_size=5),
)
@settings(max_examples=50)
def test_never_more_than_the_rate_passes_in_any_span_of_time_however_the_broker_stalls(
    count: int, rate: float, takes: Mapping[int, float]
) -> None:
    sent = VirtualLoop(seed=1).run(replayed(count, rate, takes))
    assert sum(batch for _, batch in sent) == count
    for (earlier, batch), (later, _) in pairwise(sent):
        assert later - earlier >= batch / rate - 1e-6
        assert batch <= max(1, rate / 4)


@pytest.mark.parametrize("rate", [0.5, 7, 1_000])
def test_it_goes_as_fast_as_it_may(rate: float) -> None:
    sent = VirtualLoop(seed=1).run(replayed(100, rate, {}))
    before = [0, *accumulate(batch for _, batch in sent)][:-1]
    assert [time for time, _ in sent] == pytest.approx([number / rate for number in before])


def test_without_a_rate_nothing_is_waited_for() -> None:
    assert {time for time, _ in VirtualLoop(seed=1).run(replayed(2_000, 0, {}))} == {0.0}
