"""The parts of the pages on infrastructure that are made from plans: the picture of prod, and what each costs."""

from collections.abc import Mapping
from typing import Any

from iac import bill, picture
from iac.places import ROOM

PAGE = ROOM.parent / "docs" / "infrastructure.md"
GOOGLE_PAGE = ROOM.parent / "docs" / "infrastructure-gcp.md"


def renewed(text: str, plans: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page with its made parts as the plans of all environments want them."""
    return _put(text, {"picture": f"```mermaid\n{picture.draw(plans['prod'])}\n```", "cost": bill.table(plans)})


def renewed_google(text: str, plans: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page on Google Cloud with its costs as the plans of all environments want them."""
    return _put(text, {"cost": bill.table(plans, bill.google_bill)})


def _put(text: str, parts: Mapping[str, str]) -> str:
    for name, part in parts.items():
        begin, end = f"<!-- {name}: made by `python -m iac page` -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{part}\n{end}{after}"
    return text
