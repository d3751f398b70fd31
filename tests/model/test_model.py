"""The formal model, `docs/model/Outbox.tla`: corelib's promises hold in it, and each bug put back breaks one.

In a small world, where every bug still shows; `make model` checks larger ones too.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from model.worlds import EFFECT, LONG, LOST, TOPIC, WORLD, safe


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(WORLD | {"Consumers": "{}"}, id="up to the topic, two keys"),
        pytest.param(WORLD | {"Keys": "{a}"}, id="up to the effect, one key"),
    ],
)
async def test_nothing_is_lost_doubled_or_out_of_order(tmp_path: Path, world: Mapping[str, str]) -> None:
    found = await safe(tmp_path, world)
    assert found.violated is None, found.output
    assert found.states > 5_000, "the world is too small to say anything"


@pytest.mark.parametrize(
    ("bug", "world", "promise"),
    [
        pytest.param("BySnapshot", WORLD, LOST, id="a cursor by id"),
        pytest.param("TickKept", LONG, LOST, id="a tick that a crash of the database takes back"),
        pytest.param("Fenced", WORLD, TOPIC, id="a lease without a fence"),
        pytest.param("Receipts", WORLD, TOPIC, id="a cursor that moves apart from the send"),
        pytest.param("SendFirst", WORLD, LOST, id="acknowledged before it is sent"),
        pytest.param("MarkWithEffect", WORLD, EFFECT, id="marked in a transaction after the effect"),
        pytest.param("OffsetAfterEffect", WORLD, LOST, id="an offset committed before the effect"),
    ],
)
async def test_a_bug_put_back_is_found(tmp_path: Path, bug: str, world: Mapping[str, str], promise: str) -> None:
    found = await safe(tmp_path, world, **{bug: "FALSE"})
    assert found.violated == promise, found.output
    print(f"\n{bug}: {promise} broken after {' -> '.join(found.steps)}")  # noqa: T201 -- shown by `make model`
