"""`make bench-gate`: fails where a ratio fell behind the recorded one. Only ratios: a machine's own pace is in none.

A fresh QUICK run stands against the record of a QUICK run, or of a full one where there is no other.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.catalogue import BENCHES, measure
from bench.frame import RESULTS

TOLERANCE = 0.25
"""Ratios of QUICK runs differ by up to a fifth on a machine that does other things as well."""
_FELL, _UNKNOWN, _INTERRUPTED = 1, 2, 130

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """One ratio, as recorded and as measured now; None where there is no such ratio now."""

    bench: str
    ratio: str
    recorded: float
    now: float | None
    lower_is_better: bool

    @property
    def worse_by(self) -> float:
        """By which part of the recorded ratio it is worse; negative where it is better."""
        if self.now is None:
            return 1.0
        change = (self.now - self.recorded) / self.recorded
        return change if self.lower_is_better else -change

    def passes(self, tolerance: float) -> bool:
        """Tell whether it is as good as recorded, but for the tolerance."""
        return self.worse_by <= tolerance


def judged(bench: str, recorded: Record, now: Record) -> list[Verdict]:
    """Compare each recorded ratio with the one of now."""
    return [
        Verdict(bench, name, value, now["ratio"].get(name), "at_most" in recorded["aims"].get(name, {}))
        for name, value in recorded["ratio"].items()
    ]


def recorded(name: str, folder: Path = RESULTS) -> Record | None:
    """Return the record that a fresh QUICK run is held against; None where none has a ratio."""
    for path in (folder / f"{name}-quick.json", folder / f"{name}.json"):
        if path.exists():
            record: Record = json.loads(path.read_text())
            if record.get("ratio"):
                return record
    return None


def table(verdicts: Sequence[Verdict], tolerance: float) -> Table:
    """Show all verdicts, with those that fail marked."""
    shown = Table("bench", "ratio", "recorded", "now", "worse by", "", title=f"tolerance {tolerance:.0%}")
    for verdict in verdicts:
        now = "gone" if verdict.now is None else f"{verdict.now:.3f}"
        word = "[green]ok" if verdict.passes(tolerance) else "[red]FELL"
        row = (verdict.bench, verdict.ratio, f"{verdict.recorded:.3f}", now, f"{verdict.worse_by:.0%}", word)
        shown.add_row(*row)
    return shown


def gate(
    names: Sequence[str], measured: Callable[[str], Record], console: Console, *, folder: Path, tolerance: float
) -> int:
    """Measure the named benches anew, or all that have a recorded ratio; 1 where one fell, 2 where none is recorded."""
    known = {name: record for name in BENCHES if (record := recorded(name, folder)) is not None}
    if not names:
        names = list(known)
    if unknown := [name for name in names if name not in known]:
        console.print(f"Nothing to hold {', '.join(unknown)} against. Recorded are: {', '.join(known)}")
        return _UNKNOWN
    verdicts: list[Verdict] = []
    for name in names:
        console.rule(name)
        verdicts += judged(name, known[name], measured(name))
    console.print(table(verdicts, tolerance))
    return 0 if all(verdict.passes(tolerance) for verdict in verdicts) else _FELL


def main() -> int:
    """Judge what was asked for; fresh figures are not kept."""
    console = Console()
    tolerance = float(os.environ.get("TOLERANCE") or TOLERANCE)

    def measured(name: str) -> Record:
        with TemporaryDirectory(prefix="souk-bench-gate-") as work:
            return measure(name, console, quick=True, folder=Path(work))

    try:
        return gate(sys.argv[1:], measured, console, folder=RESULTS, tolerance=tolerance)
    except (asyncio.CancelledError, KeyboardInterrupt):
        print("Interrupted; its servers are stopped.", file=sys.stderr)
        return _INTERRUPTED


if __name__ == "__main__":
    raise SystemExit(main())
