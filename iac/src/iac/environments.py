"""Tools that cannot share our environment (they pin what we use newer): one of their own each, from a lock."""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from iac.errors import IacError
from iac.places import CACHE, ROOM


def tool(name: str) -> Path:
    """Return the folder of a tool's programs, installed from `<name>.lock` if it is not there yet."""
    lock = ROOM / f"{name}.lock"
    key = hashlib.sha256(f"{sys.version}{sys.base_prefix}".encode() + lock.read_bytes()).hexdigest()[:16]
    folder = CACHE / "env" / f"{name}-{key}"
    if not folder.exists():
        _install(lock, folder)
    return folder / "bin"


def _install(lock: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    uv = str(Path(sys.executable).with_name("uv"))
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as draft:
        made = Path(draft) / "env"
        # Relocatable: it is built under another name and put in place whole.
        _run(uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(made))
        python = str(made / "bin" / "python")
        _run(uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "--requirement", str(lock))
        if not folder.exists():
            made.rename(folder)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- our own uv
    if done.returncode:
        raise IacError(f"{Path(command[0]).name} {command[1]} failed:\n{done.stdout}{done.stderr}")
