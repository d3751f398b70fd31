import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from contracts.schemas import GOLDEN, events, incompatibilities, schema
from corelib.message import Event


@pytest.mark.parametrize("kind", events(), ids=lambda kind: kind.type)
def test_event_is_compatible_with_its_golden_schema(kind: type[Event]) -> None:
    golden = json.loads((GOLDEN / f"{kind.type}.json").read_text())
    assert incompatibilities(golden, schema(kind)) == []


@pytest.mark.parametrize("kind", events(), ids=lambda kind: kind.type)
def test_golden_schema_is_written_anew_after_a_change(kind: type[Event]) -> None:
    golden = json.loads((GOLDEN / f"{kind.type}.json").read_text())
    assert golden == schema(kind), "run `make schemas` and commit the result"


def test_no_published_event_was_removed() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == {kind.type for kind in events()}


def _remove_field(schema: dict[str, Any]) -> None:
    del schema["properties"]["order_id"]


def _change_type(schema: dict[str, Any]) -> None:
    schema["properties"]["order_id"]["type"] = "integer"


def _make_optional(schema: dict[str, Any]) -> None:
    schema["required"].remove("order_id")


def _change_nested(schema: dict[str, Any]) -> None:
    schema["$defs"]["Money"]["properties"]["amount"]["type"] = "number"


def _change_key(schema: dict[str, Any]) -> None:
    schema["x-key"] = "user_id"


def _leave_channel(schema: dict[str, Any]) -> None:
    schema["x-channels"] = []


@pytest.mark.parametrize(
    "change", [_remove_field, _change_type, _make_optional, _change_nested, _change_key, _leave_channel]
)
def test_incompatible_change_is_named(change: Callable[[dict[str, Any]], None]) -> None:
    golden = json.loads((GOLDEN / "souk.order.placed.v1.json").read_text())
    changed = copy.deepcopy(golden)
    change(changed)
    assert incompatibilities(golden, changed)


def test_added_field_is_compatible() -> None:
    golden = json.loads((GOLDEN / "souk.order.placed.v1.json").read_text())
    changed = copy.deepcopy(golden)
    changed["properties"]["gift_note"] = {"type": "string"}
    assert incompatibilities(golden, changed) == []
