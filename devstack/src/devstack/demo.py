"""The demo: the whole shop on real baskets, watched while it works and proved when it rests."""

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp
from rich.console import Console
from rich.table import Table

from devstack.audit import Audit
from devstack.baskets import Replay, load
from devstack.live import Pulse, live, pulse
from devstack.replay import Progress, Replayer, in_parallel, percentile
from devstack.settings import StackSettings
from devstack.settled import settled
from devstack.shopper import Shopper
from devstack.stack import Stack
from devstack.versions import versions

_KILL_EVERY_SECONDS = 2.0


@dataclass(frozen=True)
class Options:
    """What the variables of `make demo` say."""

    baskets: int = field(default_factory=lambda: int(os.environ.get("BASKETS", "1000")))
    rate: float = field(default_factory=lambda: float(os.environ.get("RATE", "0")))
    concurrency: int = 16
    crash: bool = False
    stay: bool = field(default_factory=lambda: os.environ.get("STAY", "1") != "0" and sys.stdout.isatty())


async def demo(options: Options, settings: StackSettings, console: Console) -> int:
    """Start the stack, replay, prove; return the exit code: 0, or 1 if the audit found anything."""
    began = time.monotonic()
    if options.crash:
        # Apart, so that a relay dies between sending and acknowledging while its service lives, and vice versa.
        settings = settings.model_copy(update={"relays_apart": True})
    stack = Stack(settings)
    try:
        await stack.up()
        if options.crash:
            stack.supervise()
        report = await replay_and_prove(options, settings, stack, console, began)
        if options.stay:
            await _stay(stack, console)
    finally:
        await stack.down()
    return 1 if report["audit_findings"] else 0


async def replay_and_prove(
    options: Options, settings: StackSettings, stack: Stack, console: Console, began: float
) -> dict[str, Any]:
    """Replay baskets through a running stack and audit it; return the report, which is written as well."""
    console.print(f"Reading {options.baskets} baskets ...")
    replay = await asyncio.to_thread(load, options.baskets)
    progress = Progress(total=len(replay.baskets))
    connector = aiohttp.TCPConnector(limit=options.concurrency * 4)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=15)) as session:
        shopper = Shopper(session, settings.gateway_url, salt=f"{time.time_ns():x}")
        await _open_the_shop(shopper, replay, settings, console)
        replayer = Replayer(shopper, progress, concurrency=options.concurrency, rate=options.rate)
        kills = await _replay(stack, replayer, replay, console, crash=options.crash)
    console.print("All orders are final. Waiting for e-mails, documents and analytics, then the audit ...")
    result = await settled(settings)
    report = _report(progress, result, began)
    report["kills"] = dict(kills)
    report["client_retries"] = shopper.retries
    path = settings.home / "demo-report.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    _print_proof(console, result, progress, report)
    console.print(f"Report: {path}")
    return report


async def _open_the_shop(shopper: Shopper, replay: Replay, settings: StackSettings, console: Console) -> None:
    households = sorted({basket.household for basket in replay.baskets})
    console.print(
        f"Registering {len(households)} households, filling the shelves with {len(replay.products)} products ..."
    )
    admin = await shopper.sign_in(settings.admin_email, settings.admin_password())
    await shopper.stock_shelves(admin, replay.products)
    await in_parallel([partial(shopper.register, household) for household in households], 16)
    await shopper.until_sold([product.product_id for product in replay.products])


async def _replay(stack: Stack, replayer: Replayer, replay: Replay, console: Console, *, crash: bool) -> Counter[str]:
    latest = Pulse()
    kills = Counter[str]()
    progress = replayer.progress

    async def watch() -> None:
        nonlocal latest
        while True:
            latest = await pulse(replayer.shopper.session, stack.settings.metrics_urls())
            await asyncio.sleep(1)

    async with _background(watch()), live(console, progress, lambda: latest):
        progress.started = time.monotonic()
        work = replayer.run(list(replay.baskets), deadline_seconds=600 + len(replay.baskets))
        if crash:
            async with _background(_crash(stack, kills, console)):
                await work
        else:
            await work
    return kills


async def _crash(stack: Stack, kills: Counter[str], console: Console) -> None:
    """Kill services and relays in turn with SIGKILL; the stack's supervision starts each again."""
    while True:
        for part in ("order", "order-relay", "product", "product-relay", "payment", "payment-relay", "user"):
            await asyncio.sleep(_KILL_EVERY_SECONDS)
            if stack.kill(part, signal.SIGKILL):
                kills[part] += 1
                console.print(f"kill -9 {part}")


@asynccontextmanager
async def _background(work: Any) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _report(progress: Progress, result: Audit, began: float) -> dict[str, Any]:
    return {
        "baskets": progress.total,
        "orders": progress.placed,
        "refused": progress.refused,
        "confirmed": progress.states["confirmed"],
        "rejected": progress.states["rejected"],
        "cancelled": progress.states["cancelled"],
        "place_p50_ms": round(percentile(progress.place_seconds, 0.5), 1),
        "place_p95_ms": round(percentile(progress.place_seconds, 0.95), 1),
        "saga_p95_ms": round(percentile(progress.saga_seconds, 0.95), 1),
        "orders_per_second": round(progress.orders_per_second, 1),
        "notifications": sum(result.snapshot.emails[order_id] for order_id in progress.order_ids),
        "analytics_windows": len(result.snapshot.windows or {}),
        "audit_findings": len(result.findings),
        "findings": result.findings[:100],
        "duration_s": round(time.monotonic() - began, 1),
        "versions": versions(),
    }


def _print_proof(console: Console, result: Audit, progress: Progress, report: dict[str, Any]) -> None:
    snapshot = result.snapshot
    payments = [payment for order_id, payment in snapshot.payments.items() if order_id in progress.order_ids]
    declined = sum(payment.status == "declined" for payment in payments)
    refunded = sum(payment.refund == "refunded" for payment in payments)
    sold = sum(
        sum(reservation.lines.values())
        for order_id, reservation in snapshot.reservations.items()
        if reservation.status == "committed" and order_id in progress.order_ids
    )
    table = Table(title="The proof", show_header=False)
    table.add_row(
        "orders", f"{report['orders']} of {report['baskets']} baskets, {report['orders_per_second']} a second"
    )
    table.add_row(
        "confirmed, rejected, cancelled", ", ".join(str(report[s]) for s in ("confirmed", "rejected", "cancelled"))
    )
    table.add_row("payments declined", f"{declined}, each order cancelled and its stock released")
    table.add_row("payments refunded", str(refunded))
    table.add_row("units sold", f"{sold}, on hand + sold = supplied for {len(snapshot.stock)} products")
    table.add_row("e-mails", f"{report['notifications']} for {report['confirmed']} confirmed orders")
    windows = "not run" if snapshot.windows is None else f"{len(snapshot.windows)} minutes, equal to the orders"
    table.add_row("analytics", windows)
    table.add_row("placing an order", f"p50 {report['place_p50_ms']} ms, p95 {report['place_p95_ms']} ms")
    table.add_row("placed to final", f"p95 {report['saga_p95_ms']} ms")
    table.add_row("audit findings", f"{len(result.findings)}, over all {len(snapshot.orders)} orders of this stack")
    console.print(table)
    for finding in result.findings[:20]:
        console.print(f"  ! {finding}")


async def _stay(stack: Stack, console: Console) -> None:
    console.print(stack.table())
    console.print("The shop stays up; Ctrl-C stops it.")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
