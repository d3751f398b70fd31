"""The picture of a figure: a bar for each contender's median, a line from its worst to its best round."""

from pathlib import Path
from statistics import median

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot

from bench.frame import Figure

_COLOURS = {"ours": "tab:blue", "peers": "tab:gray", "limit": "tab:orange"}


def draw(figure: Figure, picture: Path) -> None:
    """Write the picture as PNG."""
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
