"""The README of each module: what it is for, what it takes, what it gives; made from the module itself."""

import re
from pathlib import Path

from iac.places import ROOM

_NOTE = "Made by `python -m iac tables`; change the module, not this file."


def modules() -> list[Path]:
    """Return the folders of all modules."""
    return sorted(path.parent for path in (ROOM / "modules").glob("*/*/main.tf"))


def readme(module: Path) -> str:
    """Return the README of a module."""
    lines = [
        f"# {module.name}",
        "",
        _purpose(module),
        "",
        "| variable | what it is | type | default |",
        "|---|---|---|---|",
    ]
    for name, body in sorted(_blocks(module / "variables.tf", "variable")):
        default = _written(body, "default")
        shown = f"`{default}`" if default else "required"
        lines.append(f"| `{name}` | {_description(body)} | `{_kind(body)}` | {shown} |")
    lines += ["", "| output | what it is |", "|---|---|"]
    lines += [f"| `{name}` | {_description(body)} |" for name, body in sorted(_blocks(module / "outputs.tf", "output"))]
    return "\n".join([*lines, "", _NOTE, ""])


def _blocks(file: Path, kind: str) -> list[tuple[str, str]]:
    return re.findall(rf'^{kind} "(\w+)" \{{\n(.*?)^\}}', file.read_text(), re.MULTILINE | re.DOTALL)


def _written(body: str, argument: str) -> str:
    found = re.search(rf"^  {argument}\s+= ([^\n]+)", body, re.MULTILINE)
    return found.group(1) if found else ""


def _description(body: str) -> str:
    return _written(body, "description").strip('"').replace('\\"', '"')


def _kind(body: str) -> str:
    """Return a type without the attributes of its objects, which no table holds."""
    written = _written(body, "type")
    cut = re.sub(r"object\(.*", "object", written)
    return cut + ")" * (cut.count("(") - cut.count(")"))


def _purpose(module: Path) -> str:
    comments = []
    for line in (module / "main.tf").read_text().splitlines():
        if not line.startswith("#"):
            break
        comments.append(line.removeprefix("#").strip())
    return " ".join(comments)
