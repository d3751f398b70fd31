"""What policies look at: a plan or an applied state as one flat list of resources, with nothing left unsaid.

terraform-compliance passes silently over values that are "known after apply", and cannot follow a bucket to its policy
in an applied state. So, before it judges:

- a value that only the apply will tell is written as `(known after apply)` where the configuration sets it: it is
  there, but equals nothing; where the configuration leaves it to AWS, it is not there;
- blocks that can occur once are written without their list;
- what stands in resources of its own (a bucket's policy, a queue's alarm) is written onto the resource it belongs to;
- rights and open doors become resources of their own: `iam_statement`, `google_grant`, `network_door`, one for each;
- what must exist at all is counted in one resource, `platform`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from iac import doors, facts, google, rights
from iac.facts import Resource

UNKNOWN = "(known after apply)"
_INDEX = re.compile(r'\[(?:"[^"]*"|\d+)\]')
_FORMAT = {"format_version": "1.0", "terraform_version": "1.15.0"}


def of_plan(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence in a plan's JSON."""
    return document(planned(plan))


def of_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence in the JSON of an applied state."""
    root = state.get("values", {}).get("root_module", {})
    return document([_resource(found, found["values"]) for found in _found(root) if found["mode"] == "managed"])


def together(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return several pieces of evidence as one, judged at once: the addresses begin with the name of each."""
    found = [
        {**resource, "address": f"{name}:{resource['address']}"}
        for name, document in documents.items()
        for resource in resources(document)
    ]
    return {**_FORMAT, "values": {"root_module": {"resources": found}}}


def planned(plan: Mapping[str, Any]) -> list[Resource]:
    """Return the resources that a plan wants to be there, as they are written."""
    written = dict(_written(plan.get("configuration", {}).get("root_module", {}), ""))
    return [
        _resource(
            change,
            _filled(
                change["change"]["after"],
                change["change"].get("after_unknown"),
                written.get(_INDEX.sub("", change["address"])),
            ),
        )
        for change in plan["resource_changes"]
        if change["mode"] == "managed" and change["change"]["actions"] != ["delete"]
    ]


def resources(evidence: Mapping[str, Any]) -> list[Resource]:
    """Return the resources in evidence."""
    found: list[Resource] = evidence["values"]["root_module"]["resources"]
    return found


def document(plain: Sequence[Resource]) -> dict[str, Any]:
    """Return resources as evidence: each with what others say about it, and what is made of them."""
    made = [*rights.statements(plain), *google.grants(plain), *doors.doors(plain), facts.platform(plain)]
    told = [facts.joined(resource, plain) for resource in plain]
    return {**_FORMAT, "values": {"root_module": {"resources": [*told, *made]}}}


def _found(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from module.get("resources", ())
    for child in module.get("child_modules", ()):
        yield from _found(child)


def _resource(found: Mapping[str, Any], values: Any) -> Resource:
    kept = {key: found[key] for key in ("address", "mode", "type", "name")}
    return {**kept, "values": {key: _once(value) for key, value in values.items()}}


def _written(module: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """Yield what the configuration says about each resource, by its address without indexes."""
    for resource in module.get("resources", ()):
        yield f"{path}{resource['address']}", resource.get("expressions", {})
    for name, call in module.get("module_calls", {}).items():
        yield from _written(call["module"], f"{path}module.{name}.")


def _filled(value: Any, unknown: Any, written: Any) -> Any:
    """Return a planned value with `UNKNOWN` where the plan knows none, though something is written."""
    if unknown is True:
        return UNKNOWN
    if isinstance(unknown, Mapping):
        return _filled_block(value if isinstance(value, Mapping) else {}, unknown, written)
    if isinstance(unknown, list):
        known, said = (part if isinstance(part, list) else [] for part in (value, written))
        return [_filled(*parts) for parts in zip_longest(known, unknown, said[: max(len(known), len(unknown))])]
    return value


def _filled_block(value: Mapping[str, Any], unknown: Mapping[str, Any], written: Any) -> dict[str, Any]:
    # What is made by a dynamic block is not found in the configuration: there, everything counts as written.
    said = written if isinstance(written, Mapping) else dict.fromkeys(unknown)
    left_out = {name for name, missing in unknown.items() if missing is True and name not in said}
    names = [name for name in {**value, **unknown} if name not in left_out]
    return {name: _filled(value.get(name), unknown.get(name), said.get(name)) for name in names}


def _once(value: Any) -> Any:
    """Return a block that occurs once without its list, at every depth."""
    if isinstance(value, Mapping):
        return {key: _once(inner) for key, inner in value.items()}
    if isinstance(value, list):
        inner = [_once(item) for item in value]
        return inner[0] if len(inner) == 1 and isinstance(inner[0], dict) else inner
    return value
