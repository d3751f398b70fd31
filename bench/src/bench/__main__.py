"""`python -m bench NAME` runs one bench and keeps its figure; `make bench-NAME` calls it."""

import asyncio
import json
import os
import sys

from rich.console import Console

from bench.catalogue import BENCHES, measure


def main() -> int:
    """Run the bench that was asked for; 0 also where an aim is missed, since a shared machine proves nothing."""
    names = sys.argv[1:]
    if len(names) != 1 or names[0] not in BENCHES:
        print(f"Which bench? One of: {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    console = Console()
    try:
        record = measure(names[0], console, quick=os.environ.get("QUICK") == "1")
    except (asyncio.CancelledError, KeyboardInterrupt):
        print("Interrupted; its servers are stopped.", file=sys.stderr)
        return 130
    console.print_json(json.dumps({name: record[name] for name in ("ratio", "aims")}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
