"""All benches by name, and how one is run."""

import asyncio
import importlib
import signal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from bench.frame import RESULTS, Bench, Figure

BENCHES = {
    "dynamo": "bench.dynamo",
    "relay": "bench.relay",
    "commit": "bench.commit",
    "latency": "bench.latency",
    "consume": "bench.consume",
    "backlog": "bench.backlog",
    "http": "bench.http",
    "import": "bench.footprint",
    "inbox": "bench.inbox",
    "timers": "bench.timers",
}
"""Each module has `async def run(bench: Bench) -> Figure`."""


def measure(name: str, console: Console, *, quick: bool, folder: Path = RESULTS) -> dict[str, Any]:
    """Run a bench, keep its figure in a folder, and return the record."""
    with TemporaryDirectory(prefix="souk-bench-") as work:
        bench = Bench(name, quick=quick, work=Path(work), console=console)
        figure = asyncio.run(_run(BENCHES[name], bench))
    from bench.record import keep  # noqa: PLC0415 -- matplotlib is heavy, and a bench may measure its own process

    return keep(figure, bench, folder)


async def _run(module: str, bench: Bench) -> Figure:
    """Run a bench; told to stop, it still stops its servers."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 -- a coroutine that runs is in one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    figure: Figure = await importlib.import_module(module).run(bench)
    return figure
