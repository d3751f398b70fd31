"""`python -m bench NAME` runs one bench and keeps its figure; `make bench-NAME` calls it."""

import asyncio
import importlib
import json
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from bench.frame import Bench, Figure, keep, new_bench

BENCHES = {
    "dynamo": "bench.dynamo",
    "relay": "bench.relay",
    "commit": "bench.commit",
    "latency": "bench.latency",
    "consume": "bench.consume",
    "backlog": "bench.backlog",
    "http": "bench.http",
    "import": "bench.footprint",
}
"""Each module has `async def run(bench: Bench) -> Figure`."""


def main() -> int:
    """Run the bench that was asked for; 0 also where an aim is missed, since a shared machine proves nothing."""
    names = sys.argv[1:]
    if len(names) != 1 or names[0] not in BENCHES:
        print(f"Which bench? One of: {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    console = Console()
    with TemporaryDirectory(prefix="souk-bench-") as work:
        bench = new_bench(names[0], console, Path(work))
        try:
            figure = asyncio.run(_run(BENCHES[names[0]], bench))
        except (asyncio.CancelledError, KeyboardInterrupt):
            print("Interrupted; its servers are stopped.", file=sys.stderr)
            return 130
    record = keep(figure, bench)
    console.print_json(json.dumps({name: record[name] for name in ("ratio", "aims")}))
    return 0


async def _run(module: str, bench: Bench) -> Figure:
    """Run a bench; told to stop, it still stops its servers."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 -- a coroutine that runs is in one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    figure: Figure = await importlib.import_module(module).run(bench)
    return figure


if __name__ == "__main__":
    raise SystemExit(main())
