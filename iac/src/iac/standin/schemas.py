"""Reads providers' schemas out of the TypeScript that HashiCorp generated from them.

Terraform's own schemas are inside provider programs. The packages `cdktf-cdktf-provider-*` hold them as well: for each
type a TypeScript source, in the source map of its JavaScript, where a comment such as

    // description - computed: false, optional: true, required: false

stands before each argument, and the code after it tells the type. What comes out has the form of
`terraform providers schema -json`. Not in there: which values are sensitive, and which arguments exclude each other.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from iac.errors import IacError

Schema = dict[str, Any]

_SOURCE_MAP = re.compile(r"sourceMappingURL=data:application/json;base64,(\S+)")
_CLASS = re.compile(r"^export class (\w+) extends cdktf\.\w+ \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
_MODE = re.compile(r"^export class \w+ extends cdktf\.Terraform(Resource|DataSource) \{$", re.MULTILINE)
_TYPE = re.compile(r'static readonly tfResourceType = "(\w+)"')
_RELEASE = re.compile(r"registry\.terraform\.io/providers/[\w-]+/[\w-]+/([\d.]+)/")
_FIELD = re.compile(r"^  // (\w+) - computed: (\w+), optional: (\w+), required: (\w+)$", re.MULTILINE)
_MADE = re.compile(r'= new (?:cdktf\.)?(\w+)\(this, "\w+"(?:, (true|false))?\);')
_RETURNED = re.compile(r"return (.+);")
_DECLARED = re.compile(r"private _\w+\?: ([^;]+);")
_INTERFACE = re.compile(r"^export interface (\w+) \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
_MEMBER = re.compile(r"\{@link [^ ]+#(\w+) [^}]+\}\n  \*/\n  readonly \w+(\??): ([^;]+);")
_PARENT = re.compile(r"super\(terraformResource, terraformAttribute, (true|false)(, 0)?\)")

_LAZY = " | cdktf.IResolvable"

_GETTERS = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
    "getStringMapAttribute": ["map", "string"],
    "getNumberMapAttribute": ["map", "number"],
    "getBooleanMapAttribute": ["map", "bool"],
}
_MAPS = {
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
    "StringMapList": ["list", ["map", "string"]],
    "StringListMap": ["map", ["list", "string"]],
    "NumberListList": ["list", ["list", "number"]],
}
# A provider's own arguments have no getters; what is declared tells the type.
_DECLARATIONS = {
    "string": "string",
    "number": "number",
    "boolean": "bool",
    "string[]": ["list", "string"],
    "{ [key: string]: string }": ["map", "string"],
}


def typescript(javascript: str) -> str:
    """Return the source that a JavaScript file carries in its source map; empty if it has none."""
    found = _SOURCE_MAP.search(javascript)
    if not found:
        return ""
    (source,) = json.loads(base64.b64decode(found.group(1)))["sourcesContent"]
    return str(source)


def release(source: str) -> str:
    """Return the version of the provider that a source was generated from; empty if it does not say."""
    found = _RELEASE.search(source)
    return found.group(1) if found else ""


def schema(source: str) -> tuple[str, Schema]:
    """Return what a source describes, such as `resource/google_project` or `data/google_project`, and its schema."""
    classes = dict(_CLASS.findall(source))
    # The type itself comes last, after everything that is nested in it.
    *_, body = classes.values()
    mode, kind = _MODE.search(source), _TYPE.search(body)
    if not mode or not kind:
        raise IacError(f"Not the source of a resource or of data: {source[:200]}")
    place = "resource" if mode.group(1) == "Resource" else "data"
    return f"{place}/{kind.group(1)}", {"version": 0, "block": _block(body, classes)}


def provider_schema(source: str) -> Schema:
    """Return the schema of a provider's own arguments."""
    interfaces = dict(_INTERFACE.findall(source))
    *_, body = dict(_CLASS.findall(source)).values()
    attributes: Schema = {}
    blocks: Schema = {}
    for name, flags, text in _fields(body):
        if name == "alias":  # Terraform's own, in every provider block
            continue
        declared = _declared(text)
        inner = interfaces.get(declared.removesuffix("[]"))
        if inner:
            blocks[name] = {"nesting_mode": "list", "block": _interface(inner)}
        else:
            attributes[name] = {"type": _DECLARATIONS.get(declared, "dynamic"), **_said(flags)}
    return {"version": 0, "block": {"attributes": attributes, "block_types": blocks}}


def _declared(text: str) -> str:
    found = _DECLARED.search(text)
    return found.group(1).removesuffix(_LAZY) if found else ""


def _interface(body: str) -> Schema:
    attributes = {
        name: {
            "type": _DECLARATIONS.get(kind.removesuffix(_LAZY), "dynamic"),
            "optional" if optional else "required": True,
        }
        for name, optional, kind in _MEMBER.findall(body)
    }
    return {"attributes": attributes, "block_types": {}}


def _said(flags: Mapping[str, bool]) -> dict[str, bool]:
    return {flag: True for flag, holds in flags.items() if holds}


def _block(body: str, classes: Mapping[str, str]) -> Schema:
    attributes: Schema = {}
    blocks: Schema = {}
    for name, flags, text in _fields(body):
        made = _MADE.search(text)
        if made and made.group(1) in classes and not flags["computed"]:
            blocks[name] = _nested(made.group(1), wraps_set=made.group(2) == "true", flags=flags, classes=classes)
        else:
            attributes[name] = {"type": _attribute(text, classes), **_said(flags)}
    return {"attributes": attributes, "block_types": blocks}


def _fields(body: str) -> Iterator[tuple[str, dict[str, bool], str]]:
    """Yield each argument's name, flags, and the code from its comment to the next one."""
    found = list(_FIELD.finditer(body))
    for field, after in zip_longest(found, found[1:]):
        end = after.start() if after else len(body)
        computed, optional, required = (flag == "true" for flag in field.groups()[1:])
        yield field[1], {"computed": computed, "optional": optional, "required": required}, body[field.end() : end]


def _nested(name: str, *, wraps_set: bool, flags: Mapping[str, bool], classes: Mapping[str, str]) -> Schema:
    mode, single = _nesting(name, wraps_set=wraps_set, classes=classes)
    limits = {"max_items": 1} if single else {}
    least = {"min_items": 1} if flags["required"] and mode != "single" else {}
    return {"nesting_mode": mode, "block": _block(classes[_element(name)], classes), **least, **limits}


def _nesting(name: str, *, wraps_set: bool, classes: Mapping[str, str]) -> tuple[str, bool]:
    """Return a block's nesting mode, and whether it may occur once only."""
    if name.endswith("List"):
        return "set" if wraps_set else "list", False
    parent = _PARENT.search(classes[name])
    if not parent or not parent.group(2):
        return "single", False
    return "set" if parent.group(1) == "true" else "list", True


def _element(name: str) -> str:
    return f"{name.removesuffix('List')}OutputReference" if name.endswith("List") else name


def _attribute(text: str, classes: Mapping[str, str]) -> Any:
    made = _MADE.search(text)
    if made and made.group(1) in classes:
        return _object(made.group(1), wraps_set=made.group(2) == "true", classes=classes)
    if made:
        return _MAPS.get(made.group(1), "dynamic")
    returned = _RETURNED.search(text)
    getter = re.search(r"this\.(get\w+Attribute)\(", returned.group(1)) if returned else None
    if returned and getter:
        kind = _GETTERS.get(getter.group(1), "dynamic")
        is_set = "cdktf.Fn.tolist(" in returned.group(1) and isinstance(kind, list)
        return ["set", *kind[1:]] if is_set else kind
    return "dynamic"


def _object(name: str, *, wraps_set: bool, classes: Mapping[str, str]) -> Any:
    """Return the type of a structure that is a value, not a block."""
    if _element(name) not in classes:
        return "dynamic"
    block = _block(classes[_element(name)], classes)
    inner = {key: attribute["type"] for key, attribute in block["attributes"].items()}
    inner |= {key: _as_type(nested) for key, nested in block["block_types"].items()}
    mode, _ = _nesting(name, wraps_set=wraps_set, classes=classes)
    return ["object", inner] if mode == "single" else [mode, ["object", inner]]


def _as_type(nested: Schema) -> Any:
    block = nested["block"]
    inner = {key: attribute["type"] for key, attribute in block["attributes"].items()}
    inner |= {key: _as_type(deeper) for key, deeper in block["block_types"].items()}
    return ["object", inner] if nested["nesting_mode"] == "single" else [nested["nesting_mode"], ["object", inner]]
