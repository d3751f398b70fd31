"""Our histogram is told apart from prometheus_client's own by its pace only."""

import math
from collections.abc import Iterator

import prometheus_client
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from corelib.metrics import Histogram

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
