"""`python -m bench NAME` runs one bench and keeps its figure; `make bench-NAME` calls it."""

import asyncio
import importlib
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from bench.frame import Figure, keep, new_bench

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
        figure: Figure = asyncio.run(importlib.import_module(BENCHES[names[0]]).run(bench))
    record = keep(figure, bench)
    console.print_json(json.dumps({name: record[name] for name in ("ratio", "aims")}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
