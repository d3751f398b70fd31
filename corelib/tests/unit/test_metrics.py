"""Our histogram is told apart from prometheus_client's by its pace only; a gauge tells also that there is nothing."""

import math
from collections.abc import Iterator

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry

from corelib.clock import SystemClock
from corelib.consumer.consumer import Consumer
from corelib.memory.store import Memory
from corelib.message import Record
from corelib.metrics import Histogram
from corelib.store import Failure
from corelib.transaction import Origin

BUCKETS = (0.001, 0.25, 1.0, 60.0)
LABELS = st.sampled_from(["relay", "consumer"])
AMOUNTS = st.one_of(st.sampled_from([0.0, *BUCKETS, math.inf]), st.floats(0, 100))


def _told(registry: CollectorRegistry) -> Iterator[tuple[str, frozenset[tuple[str, str]], float]]:
    for family in registry.collect():
        assert (family.name, family.documentation, family.type) == ("age_seconds", "An age.", "histogram")
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                yield sample.name, frozenset(sample.labels.items()), sample.value


@given(st.lists(st.tuples(LABELS, AMOUNTS)))
def test_a_histogram_tells_what_the_librarys_own_would(observations: list[tuple[str, float]]) -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    their = prometheus_client.Histogram("age_seconds", "An age.", ("part",), buckets=BUCKETS, registry=theirs)
    our = Histogram("age_seconds", "An age.", ("part",), buckets=BUCKETS, registry=ours)
    for part, amount in observations:
        their.labels(part).observe(amount)
        our.labels(part).observe(amount)
    assert sorted(_told(ours), key=repr) == sorted(_told(theirs), key=repr)


async def test_what_is_no_longer_parked_is_shown_as_none() -> None:
    """Also where it was parked by a relay, or for a handler that is gone."""
    store = Memory()
    await store.open(Origin("test", SystemClock(), frozenset()))
    consumer = Consumer(lambda: pytest.fail("it is not run"), [], store)
    await store.parking.park("relay-kafka/x", Record("x", "k", (), b"{}"), Failure("too large"), attempts=1)
    shown = []
    for _ in range(2):
        await consumer._show_parked()
        shown.append(REGISTRY.get_sample_value("parked_records", {"handler": "relay-kafka/x"}))
        for parked in await store.parking.list():
            await store.parking.remove(parked)
    assert shown == [1, 0]
