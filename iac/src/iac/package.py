"""The Lambda's zip: the same bytes for the same code, so that a plan shows a change only when there is one."""

import zipfile
from pathlib import Path

from iac.places import HANDLER

_EPOCH = (1980, 1, 1, 0, 0, 0)


def build(target: Path) -> Path:
    """Write the zip with the handler; boto3 is in Lambda's runtime. Return its path."""
    target.parent.mkdir(parents=True, exist_ok=True)
    entry = zipfile.ZipInfo("handler.py", date_time=_EPOCH)
    entry.external_attr = 0o644 << 16
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(entry, HANDLER.read_bytes(), zipfile.ZIP_DEFLATED)
    return target
