"""What is kept of a figure: its record, and a picture of it. Imported late: matplotlib is heavy."""

import json
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot

from bench.frame import RESULTS, Bench, Figure

_COLOURS = {"ours": "tab:blue", "peers": "tab:gray", "limit": "tab:orange"}


def keep(figure: Figure, bench: Bench, folder: Path = RESULTS) -> dict[str, Any]:
    """Write the record and the picture; return the record. A quick run never overwrites a full one."""
    folder.mkdir(exist_ok=True)
    record = figure.record(bench)
    name = f"{bench.name}-quick" if bench.quick else bench.name
    (folder / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    _draw(figure, folder / f"{name}.png")
    return record


def _draw(figure: Figure, picture: Path) -> None:
    """Draw a bar for each contender's median, and a line from its worst to its best round."""
    groups = {"ours": figure.ours, "peers": figure.peers, "limit": figure.limit}
    bars = [(name, values, group) for group, samples in groups.items() for name, values in samples.items()]
    height = 1.2 + 0.45 * len(bars)
    canvas, axes = pyplot.subplots(figsize=(9, height), layout="constrained")
    for row, (_, values, group) in enumerate(bars):
        middle = median(values)
        axes.barh(row, middle, color=_COLOURS[group], alpha=0.85)
        axes.plot([min(values), max(values)], [row, row], color="black", linewidth=1)
        axes.annotate(f" {middle:,.4g}", (max(values), row), va="center")
    axes.set_yticks(range(len(bars)), [name for name, _, _ in bars])
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set(title=figure.title, xlabel=figure.unit, xlim=(0, None))
    axes.grid(axis="x", alpha=0.3)
    canvas.savefig(picture, dpi=110)
    pyplot.close(canvas)
