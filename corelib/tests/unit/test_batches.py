"""What goes together is bounded, whole and in order."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from corelib.batches import batches


@given(st.lists(st.integers(0, 12)), st.integers(1, 5))
def test_batches_are_as_large_as_may_be_and_no_larger(sizes: list[int], most: int) -> None:
    found = list(batches(sizes, lambda size: size, most=most, most_bytes=10))
    assert [size for batch in found for size in batch] == sizes
    for batch in found:
        assert 0 < len(batch) <= most
        assert len(batch) == 1 or sum(batch) <= 10
    for batch, (following, *_) in pairwise(found):
        assert len(batch) == most or sum(batch) + following > 10
