"""The picture of a k6 run: latency percentiles and throughput over time."""

import csv
from collections import defaultdict
from pathlib import Path

_POINTS = 60


def series(raw: Path) -> dict[int, list[float]]:
    """Return request durations in milliseconds by second of the run, from k6's CSV output."""
    by_second: dict[int, list[float]] = defaultdict(list)
    with raw.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["metric_name"] == "http_req_duration":
                by_second[int(row["timestamp"])].append(float(row["metric_value"]))
    start = min(by_second, default=0)
    return {second - start: sorted(values) for second, values in sorted(by_second.items())}


def quantile(ordered: list[float], share: float) -> float:
    """Return the value below which `share` of the ordered values lie (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def draw(raw: Path, picture: Path, title: str) -> None:
    """Write the picture as PNG."""
    import matplotlib as mpl  # noqa: PLC0415 -- half a second that only this function wants

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415 -- after the choice of backend

    seconds = series(raw)
    width = max(1, (max(seconds, default=0) + 1) // _POINTS)
    bins: dict[int, list[float]] = defaultdict(list)
    for second, values in seconds.items():
        bins[second // width * width].extend(values)
    at = sorted(bins)
    figure, (latency, rate) = pyplot.subplots(2, 1, sharex=True, figsize=(9, 6), layout="constrained")
    for share, label in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
        latency.plot(at, [quantile(sorted(bins[second]), share) for second in at], label=label)
    latency.set(ylabel="latency, ms", title=title, ylim=(0, None))
    latency.legend(loc="upper left")
    rate.plot(at, [len(bins[second]) / width for second in at], color="tab:green")
    rate.set(xlabel="seconds", ylabel="orders per second", ylim=(0, None))
    for axes in (latency, rate):
        axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
