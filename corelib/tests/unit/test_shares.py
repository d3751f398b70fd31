"""The roll by which relays share an outbox: whatever they do, in whatever order, no shard has two holders."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from corelib.dynamo.layout import SHARDS
from corelib.dynamo.shares import Roll

HOLDERS = "abcdefghijkl"
NOBODY: frozenset[str] = frozenset()
steps = st.tuples(
    st.sampled_from(HOLDERS),
    st.sampled_from(["beat", "leave"]),
    st.frozensets(st.sampled_from(HOLDERS)),
    st.frozensets(st.integers(0, SHARDS - 1)),
)


def step(roll: Roll, me: str, what: str, dead: frozenset[str], busy: frozenset[int]) -> Roll:
    return roll.without(me) if what == "leave" else roll.with_beat(me, dead).with_fair_part(me, busy)


@given(st.lists(steps, max_size=40))
def test_nobody_takes_from_the_living_and_only_i_give_up_mine(
    taken: Sequence[tuple[str, str, frozenset[str], frozenset[int]]],
) -> None:
    roll = Roll()
    for me, what, dead, busy in taken:
        after = step(roll, me, what, dead, busy)
        assert after.version == roll.version + 1
        assert set(after.shards) <= set(range(SHARDS))
        assert set(after.shards.values()) <= set(after.beats)
        for holder in set(roll.beats) - dead - {me}:
            assert after.of(holder) == roll.of(holder)
            assert after.beats[holder] == roll.beats[holder]
        if what == "beat":
            assert roll.of(me) & busy <= after.of(me)
            assert after.beats[me] == roll.beats.get(me, 0) + 1
        roll = after


@given(st.lists(steps, max_size=20), st.integers(1, len(HOLDERS)))
def test_the_living_come_to_share_everything_fairly(
    before: Sequence[tuple[str, str, frozenset[str], frozenset[int]]], count: int
) -> None:
    roll = Roll()
    for each in before:
        roll = step(roll, *each)
    living = HOLDERS[:count]
    dead = frozenset(HOLDERS) - set(living)
    for _ in range(3):
        for me in living:
            roll = roll.with_beat(me, dead).with_fair_part(me)
    assert set(roll.shards) == set(range(SHARDS))
    assert {len(roll.of(me)) for me in living} <= set(range(-(-SHARDS // count) + 1))
    settled = roll.shards
    for me in living:
        roll = roll.with_beat(me).with_fair_part(me)
    assert roll.shards == settled
