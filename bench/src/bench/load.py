"""Load on the running gateway: k6 places orders; a summary as JSON and a picture stand in bench/results.

`make bench` is the run of 4.5 minutes, `make bench QUICK=1` the one of 30 seconds. `make up` starts what it loads.
"""

import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from bench import k6
from bench.plot import draw
from devstack.baskets import Product
from devstack.replay import in_parallel
from devstack.settings import StackSettings
from devstack.shopper import Shopper

ROOM = Path(__file__).parents[2]
_BUYERS, _PRODUCTS = 50, 200


def main() -> int:
    """Run the load; return k6's exit code, so that a broken threshold fails the target."""
    quick = os.environ.get("QUICK") == "1"
    name = "orders-quick" if quick else "orders"
    results = ROOM / "results"
    results.mkdir(exist_ok=True)
    settings = StackSettings()
    work = settings.home / "bench"
    work.mkdir(parents=True, exist_ok=True)
    program = k6.binary()
    try:
        seed = asyncio.run(_seed(settings))
    except (TimeoutError, FileNotFoundError) as error:
        print(f"The shop does not answer at {settings.gateway_url} ({error}): run `make up` first.", file=sys.stderr)
        return 2
    (work / "seed.json").write_text(json.dumps(seed))
    code = _run(program, work, settings.gateway_url, quick=quick)
    summary = _summary(work / "summary.json", quick=quick)
    (results / f"{name}.json").write_text(json.dumps(summary, indent=2) + "\n")
    draw(work / "raw.csv", results / f"{name}.png", f"POST /api/v1/orders, {summary['orders_per_second']:.0f} orders/s")
    print(json.dumps(summary, indent=2))
    return code


async def _seed(settings: StackSettings) -> dict[str, list[str]]:
    salt = f"bench-{time.time_ns():x}"
    products = [Product(f"{salt}-{n}", f"Bench product {n}", "", 100 + n, 1_000_000) for n in range(_PRODUCTS)]
    async with aiohttp.ClientSession() as session:
        shopper = Shopper(session, settings.gateway_url, salt, patience_seconds=15)
        admin = await shopper.sign_in(settings.admin_email, settings.admin_password())
        await shopper.stock_shelves(admin, products)
        await in_parallel([partial(shopper.register, str(n)) for n in range(_BUYERS)], 8)
        await shopper.until_sold([product.product_id for product in products])
    return {"tokens": list(shopper.tokens.values()), "products": [product.product_id for product in products]}


def _run(program: Path, work: Path, gateway: str, *, quick: bool) -> int:
    environment = {
        **os.environ,
        "SEED": str(work / "seed.json"),
        "GATEWAY": gateway,
        "RUN": f"{time.time_ns():x}",
        "QUICK": "1" if quick else "0",
        "K6_NO_USAGE_REPORT": "true",
    }
    command = [
        str(program), "run", "--quiet", "--summary-export", str(work / "summary.json"),
        "--out", f"csv={work / 'raw.csv'}", str(ROOM / "k6" / "orders.js"),
    ]  # fmt: skip
    return subprocess.run(command, check=False, env=environment).returncode  # noqa: S603 -- our own binary and script


def _summary(path: Path, *, quick: bool) -> dict[str, Any]:
    metrics = json.loads(path.read_text())["metrics"]
    latency = metrics["http_req_duration"]
    return {
        "bench": "orders placed through the gateway",
        "command": f"make bench{' QUICK=1' if quick else ''}",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
        "orders": metrics["iterations"]["count"],
        "orders_per_second": round(metrics["iterations"]["rate"], 1),
        "latency_ms": {word: round(latency[word], 2) for word in ("med", "p(90)", "p(95)", "p(99)", "max")},
        "failure_rate": metrics["http_req_failed"]["value"],
        "limits": {"p(95)": 1000, "failure_rate": 0.01},
    }


if __name__ == "__main__":
    raise SystemExit(main())
