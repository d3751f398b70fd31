"""Larger worlds than `make test` has time for: `make model`."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from model.worlds import EFFECT, LONG, LOST, WORLD, live, safe

pytestmark = pytest.mark.timeout(1_800)


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(WORLD, id="up to the effect, two keys"),
        pytest.param(LONG, id="many transactions"),
        pytest.param(
            WORLD | {"Relays": "{r1}", "Consumers": "{}", "Transactions": "3"}, id="three transactions of two keys"
        ),
        pytest.param(WORLD | {"Consumers": "{}", "Faults": "2"}, id="two faults of relays and database"),
        pytest.param(WORLD | {"Keys": "{a}", "Consumers": "{c1, c2}"}, id="a rebalance"),
    ],
)
async def test_a_larger_world_keeps_the_promises(tmp_path: Path, world: Mapping[str, str]) -> None:
    found = await safe(tmp_path, world)
    assert found.violated is None, found.output
    print(f"\n{found.states} states")  # noqa: T201 -- shown by `make model`


async def test_in_plain_mode_the_topic_may_repeat_itself_and_the_effect_does_not(tmp_path: Path) -> None:
    found = await safe(tmp_path, WORLD, invariants=(LOST, EFFECT), Receipts="FALSE")
    assert found.violated is None, found.output


async def test_everything_arrives_once_nothing_fails_any_more(tmp_path: Path) -> None:
    found = await live(tmp_path, WORLD | {"Keys": "{a}"})
    assert found.violated is None, found.output
