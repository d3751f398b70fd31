"""The parts of docs/infrastructure.md that are made from the plans: the picture of prod, and what each costs."""

from collections.abc import Mapping
from typing import Any

from iac import bill, picture
from iac.places import ROOM

PAGE = ROOM.parent / "docs" / "infrastructure.md"


def renewed(text: str, plans: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page with its made parts as the plans of all environments want them."""
    parts = {"picture": f"```mermaid\n{picture.draw(plans['prod'])}\n```", "cost": bill.table(plans)}
    for name, part in parts.items():
        begin, end = f"<!-- {name}: made by `python -m iac page` -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{part}\n{end}{after}"
    return text
