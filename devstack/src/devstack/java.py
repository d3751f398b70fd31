"""The Java that is installed, or one sentence that says what to install."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from devstack.errors import MissingPrerequisite

_OLDEST = 17
_WAY_ROUND = "install the package openjdk-17-jre-headless, or go without Java: make demo ANALYTICS=0 KAFKA=host:port"


@cache
def java() -> str:
    """Return the path of a Java that Kafka and Spark run on; raise `MissingPrerequisite`."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home, "bin", "java")) if home and Path(home, "bin", "java").exists() else shutil.which("java")
    if found is None:
        raise MissingPrerequisite(f"Kafka and Spark need Java {_OLDEST} or newer, which is not installed: {_WAY_ROUND}")
    version = _version(found)
    if version < _OLDEST:
        raise MissingPrerequisite(
            f"Kafka and Spark need Java {_OLDEST} or newer, and {found} is {version}: {_WAY_ROUND}"
        )
    return found


def _version(path: str) -> int:
    said = subprocess.run((path, "-version"), capture_output=True, text=True, check=False).stderr  # noqa: S603 -- no shell
    match = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(match.group(1)) if match else 0
