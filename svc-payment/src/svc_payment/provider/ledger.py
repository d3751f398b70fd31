"""The provider's books: an append-only file of JSON lines, so that a kill loses no charge it answered for."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Literal


@dataclass(frozen=True)
class Entry:
    """A charge or a refund; `key` is the Idempotency-Key it was made with, `reference` the shop's order."""

    id: str
    kind: Literal["charge", "refund"]
    key: str
    reference: str
    amount: int
    currency: str
    status: str
    reason: str = ""
    charge_id: str = ""


def share(salt: str, reference: str) -> float:
    """Return a number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.sha256(f"{salt}:{reference}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


@dataclass
class Ledger:
    """All entries, by id and by idempotency key."""

    path: Path | None = None
    entries: dict[str, Entry] = field(default_factory=dict)
    by_key: dict[str, Entry] = field(default_factory=dict)
    _file: IO[str] | None = None

    def open(self) -> None:
        """Read what was written before."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                self._keep(Entry(**json.loads(line)))
        self._file = self.path.open("a")

    def add(self, entry: Entry) -> None:
        """Write an entry before anyone hears of it."""
        if self._file is not None:
            self._file.write(json.dumps(asdict(entry)) + "\n")
            self._file.flush()
        self._keep(entry)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def refunded(self, charge_id: str) -> int:
        """Return what was given back of a charge."""
        return sum(e.amount for e in self.entries.values() if e.kind == "refund" and e.charge_id == charge_id)

    def _keep(self, entry: Entry) -> None:
        self.entries[entry.id] = entry
        self.by_key[entry.key] = entry
