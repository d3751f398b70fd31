"""The golden JSON Schemas: one file per event type, and the rule for what may change in them.

`python -m contracts.schemas` writes them; `incompatibilities` compares. A consumer built against the golden schema
must read what the new producer writes: a field may be added, but none may vanish, change its type or become optional.
"""

import json
from pathlib import Path
from typing import Any

from contracts import analytics, orders, payments, stock, users
from corelib.message import Event

GOLDEN = Path(__file__).parent / "golden"
Schema = dict[str, Any]


def events() -> list[type[Event]]:
    """Return every event of the shop, by type."""
    modules = (analytics, orders, payments, stock, users)
    found = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
    }
    return sorted(found, key=lambda kind: kind.type)


def schema(kind: type[Event]) -> Schema:
    """Return an event's schema with its channels and key, as it stands in the golden file."""
    body = kind.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": kind.type,
        "x-channels": [channel.name for channel in kind.channels],
        "x-key": kind.key_field,
        **body,
    }


def incompatibilities(old: Schema, new: Schema) -> list[str]:
    """Return what would break a consumer of `old`, in words; empty when the change is safe."""
    found = [
        f"{attribute} changed from {old[attribute]!r} to {new.get(attribute)!r}"
        for attribute in ("$id", "x-key")
        if old[attribute] != new.get(attribute)
    ]
    found += [f"no longer sent to {name}" for name in old["x-channels"] if name not in new["x-channels"]]
    return found + _shape(old, new, old, new, "")


def _shape(old: Schema, new: Schema, old_root: Schema, new_root: Schema, path: str) -> list[str]:
    old, new = _resolve(old, old_root), _resolve(new, new_root)
    found = [
        f"{path or '/'}: {word} changed from {old[word]!r} to {new.get(word)!r}"
        for word in ("type", "format", "enum", "const", "pattern")
        if word in old and old[word] != new.get(word)
    ]
    for name, field in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            found.append(f"{path}/{name}: removed")
            continue
        found += _shape(field, new["properties"][name], old_root, new_root, f"{path}/{name}")
    found += [
        f"{path}/{name}: no longer always present"
        for name in old.get("required", [])
        if name not in new.get("required", [])
    ]
    if isinstance(old.get("items"), dict):
        found += _shape(old["items"], new.get("items", {}), old_root, new_root, f"{path}/*")
    return found


def _resolve(part: Schema, root: Schema) -> Schema:
    reference = part.get("$ref")
    return root["$defs"][reference.rsplit("/", 1)[-1]] if reference else part


def write() -> None:
    """Write all golden files anew."""
    GOLDEN.mkdir(exist_ok=True)
    for kind in events():
        path = GOLDEN / f"{kind.type}.json"
        path.write_text(json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write()
