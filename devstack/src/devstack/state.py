"""What runs, written down: so that the next command finds it, whoever started it."""

import asyncio
import fcntl
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from devstack.process import Process

_LOCK_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Entry:
    """A started part; a step that has run to its end has pid 0."""

    pid: int
    started: float
    url: str
    ports: dict[str, int]

    @property
    def process(self) -> Process:
        """The process, to be looked up anew."""
        return Process(self.pid, self.started)


class State:
    """`state.json` in the home of a stack; every change is on disk at once, whole or not at all."""

    def __init__(self, home: Path) -> None:
        self._path = home / "state.json"

    def load(self) -> dict[str, Entry]:
        """Return the started parts by name."""
        try:
            stored = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        return {name: Entry(**entry) for name, entry in stored["parts"].items()}

    def put(self, name: str, entry: Entry) -> None:
        """Note a part as started."""
        self._save({**self.load(), name: entry})

    def drop(self, name: str) -> None:
        """Forget a part."""
        self._save({key: entry for key, entry in self.load().items() if key != name})

    def _save(self, parts: dict[str, Entry]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(f".{os.getpid()}.tmp")
        draft.write_text(json.dumps({"parts": {name: asdict(entry) for name, entry in parts.items()}}, indent=2) + "\n")
        draft.replace(self._path)


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Hold a file lock: one at a time across all processes; the kernel frees it when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOCK_POLL_SECONDS)
        yield
