"""Python programs that cannot share our environment (they pin what we use newer): one of their own, from a lock."""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from devstack import tool
from devstack.errors import FetchFailed
from devstack.state import locked

_LOCKS = Path(__file__).resolve().parents[2]
Complete = Callable[[Path], Awaitable[None]]


def environment(name: str, cache: Path) -> Path:
    """Return where the environment of `<name>.lock` is, or will be: one per lock and per Python."""
    key = hashlib.sha256(f"{sys.version}{sys.base_prefix}".encode() + (_LOCKS / f"{name}.lock").read_bytes())
    return cache / "env" / f"{name}-{key.hexdigest()[:16]}"


async def ensure(name: str, cache: Path, complete: Complete | None = None) -> None:
    """Create the environment if it is not there yet; `complete` adds what its lock cannot."""
    folder = environment(name, cache)
    if not folder.exists():
        await _create_once(_LOCKS / f"{name}.lock", folder, complete)


async def _create_once(lock: Path, folder: Path, complete: Complete | None) -> None:
    async with locked(folder.with_suffix(".lock")):
        if folder.exists():
            return
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            await _install(lock, draft)
            if complete is not None:
                await complete(draft)
            draft.rename(folder)
        except tool.ToolFailed as failed:
            raise FetchFailed(f"The packages of {lock.name} cannot be installed: {failed}") from failed
        finally:
            shutil.rmtree(draft, ignore_errors=True)


async def _install(lock: Path, folder: Path) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    # Relocatable: it is built under another name and put in place whole.
    await tool.run((uv, "venv", "--quiet", "--relocatable", "--clear", "--python", sys.executable, str(folder)))
    python = str(folder / "bin" / "python")
    await tool.run(
        (uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "--requirement", str(lock))
    )
