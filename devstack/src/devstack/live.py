"""The live view of the demo: progress, orders by state, latency, outbox lag, events by topic."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from corelib.part import rest
from devstack.replay import Progress, percentile

_REFRESH_SECONDS = 0.5


@dataclass
class Pulse:
    """What the services' metrics say: the largest outbox lag, and records relayed by channel."""

    lag_seconds: float = 0.0
    relayed: dict[str, int] = field(default_factory=dict)


async def pulse(session: aiohttp.ClientSession, metrics: Mapping[str, str]) -> Pulse:
    """Read the metrics of all services; one that does not answer is left out."""
    found = Pulse()
    for text in await asyncio.gather(*(_text(session, url) for url in metrics.values())):
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "outbox_lag_seconds":
                    found.lag_seconds = max(found.lag_seconds, sample.value)
                elif sample.name == "outbox_relayed_total":
                    channel = sample.labels["channel"]
                    found.relayed[channel] = found.relayed.get(channel, 0) + int(sample.value)
    return found


async def _text(session: aiohttp.ClientSession, url: str) -> str:
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as answer:
            return await answer.text()
    except (aiohttp.ClientError, TimeoutError):
        return ""


@contextlib.asynccontextmanager
async def live(console: Console, progress: Progress, look: Callable[[], Pulse]) -> AsyncIterator[None]:
    """Draw the view while the block runs; without a terminal print a line every few seconds."""
    stop = asyncio.Event()
    drawing = asyncio.create_task((_draw if console.is_terminal else _tell)(console, progress, look, stop))
    try:
        yield
    finally:
        stop.set()
        await drawing


async def _draw(console: Console, progress: Progress, look: Callable[[], Pulse], stop: asyncio.Event) -> None:
    with Live(console=console, refresh_per_second=4) as view:
        while not stop.is_set():
            view.update(_picture(progress, look()))
            await rest(stop, _REFRESH_SECONDS)
        view.update(_picture(progress, look()))


async def _tell(console: Console, progress: Progress, look: Callable[[], Pulse], stop: asyncio.Event) -> None:
    while not stop.is_set():
        states = ", ".join(f"{count} {state}" for state, count in sorted(progress.states.items()) if count)
        console.print(
            f"{progress.placed}/{progress.total} baskets placed, {progress.orders_per_second:.0f}/s;"
            f" {states or 'no order yet'}; outbox lag {look().lag_seconds:.1f} s"
        )
        await rest(stop, 5)


def _picture(progress: Progress, now: Pulse) -> Group:
    table = Table.grid(padding=(0, 2))
    table.add_row("baskets", f"{progress.placed} of {progress.total}, {progress.orders_per_second:.0f} orders/s")
    for state in ("pending", "reserved", "confirmed", "rejected", "cancelled"):
        table.add_row(state, str(progress.states[state]))
    table.add_row(
        "placing",
        f"p50 {percentile(progress.place_seconds, 0.5):.0f} ms, p95 {percentile(progress.place_seconds, 0.95):.0f} ms",
    )
    table.add_row("to the end", f"p95 {percentile(progress.saga_seconds, 0.95):.0f} ms")
    table.add_row("outbox lag", f"{now.lag_seconds:.2f} s")
    table.add_row("events", ", ".join(f"{channel} {count}" for channel, count in sorted(now.relayed.items())))
    return Group(ProgressBar(total=progress.total, completed=progress.placed), table)
