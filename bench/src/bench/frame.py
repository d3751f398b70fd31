"""What every bench shares: contenders measured in turn, ratios within a round, and the servers that it needs.

A bench is a module of this package with `async def run(bench: Bench) -> Figure`, named in `bench.catalogue`. Machines
that run benches are shared and noisy, so contenders take turns and a ratio is the median of the ratios of each round.
"""

import asyncio
import os
import platform
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from devstack.parts import aws_emulator, kafka_server, postgres_server
from devstack.versions import versions

RESULTS = Path(__file__).parents[2] / "results"
_PROBE_SECONDS = 1.0

Contender = Callable[[], Awaitable[float]]
Samples = Mapping[str, Sequence[float]]
"""Values by name, one a round."""


def throughput(work: Callable[[], Awaitable[None]], *, seconds: float, at_once: int) -> Contender:
    """Return a contender that does a piece of work again and again, `at_once` at a time, and counts it per second."""

    async def contend() -> float:
        began, done = time.perf_counter(), count()

        async def worker() -> None:
            while time.perf_counter() - began < seconds:
                await work()
                next(done)

        await asyncio.gather(*(worker() for _ in range(at_once)))
        return next(done) / (time.perf_counter() - began)

    return contend


@dataclass(frozen=True)
class Bench:
    """What a bench is given: how thorough to be, where to work, and where to say what it does."""

    name: str
    quick: bool
    work: Path
    console: Console

    def say(self, what: str) -> None:
        """Show what is going on."""
        self.console.print(f"  {what}", highlight=False, markup=False, soft_wrap=True)

    async def interleaved(self, contenders: Mapping[str, Contender], *, rounds: int, unit: str) -> Samples:
        """Measure all contenders in turn, `rounds` times; each round begins with another one."""
        samples: dict[str, list[float]] = {name: [] for name in contenders}
        names = list(contenders)
        for number in range(rounds):
            start = number % len(names)
            for name in names[start:] + names[:start]:
                with self.console.status(f"round {number + 1} of {rounds}: {name}"):
                    samples[name].append(await contenders[name]())
                self.say(f"round {number + 1} of {rounds}: {name:36} {samples[name][-1]:>12,.1f} {unit}")
        return samples


@dataclass(frozen=True)
class Aim:
    """A bound on a contender's median, or on its ratio to another one (`over`)."""

    of: str
    over: str | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def name(self) -> str:
        """Name it in the record."""
        return self.of if self.over is None else f"{self.of} / {self.over}"

    def value(self, samples: Samples) -> float:
        """Return the measured value."""
        if self.over is None:
            return median(samples[self.of])
        return median(mine / theirs for mine, theirs in zip(samples[self.of], samples[self.over], strict=True))

    def met(self, value: float) -> bool:
        """Tell whether the value keeps the bound."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True)
class Figure:
    """What a bench found. `limit` holds what nobody could surpass in this run: a bare prototype, a stage alone."""

    title: str
    unit: str
    ours: Samples
    aims: Sequence[Aim]
    peers: Samples = field(default_factory=dict)
    limit: Samples = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def samples(self) -> Samples:
        """Return everything that was measured."""
        return {**self.ours, **self.peers, **self.limit}

    def ratios(self) -> dict[str, float]:
        """Return the measured value of each aim that compares two contenders."""
        return {aim.name: round(aim.value(self.samples), 3) for aim in self.aims if aim.over is not None}

    def record(self, bench: Bench) -> dict[str, Any]:
        """Return it as it is kept in `results/`."""
        return {
            "bench": self.title,
            "command": f"make bench-{bench.name}{' QUICK=1' if bench.quick else ''}",
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "unit": self.unit,
            "ours": _medians(self.ours),
            "peers": _medians(self.peers),
            "limit": _medians(self.limit),
            "ratio": self.ratios(),
            "aims": {aim.name: self._judged(aim) for aim in self.aims},
            "notes": dict(self.notes),
        }

    def _judged(self, aim: Aim) -> dict[str, Any]:
        value = aim.value(self.samples)
        bounds = {"at_least": aim.at_least, "at_most": aim.at_most}
        return {
            "value": round(value, 3),
            **{name: bound for name, bound in bounds.items() if bound is not None},
            "met": aim.met(value),
        }


def _medians(samples: Samples) -> dict[str, Any]:
    return {
        name: {"median": round(median(values), 3), "rounds": [round(value, 3) for value in values]}
        for name, values in samples.items()
    }


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    load = round(os.getloadavg()[0], 1)
    return {"cores": os.cpu_count(), "load": load, "system": f"{platform.system()} {platform.machine()}", **versions()}


@asynccontextmanager
async def folder() -> AsyncIterator[Path]:
    """Give a folder that is gone at the end."""
    with TemporaryDirectory(prefix="souk-bench-") as name:
        yield Path(name)


@asynccontextmanager
async def postgres_and_kafka(bench: Bench) -> AsyncIterator[tuple[str, str]]:
    """Give the DSN of a PostgreSQL and the bootstrap address of a Kafka that nobody else uses."""
    bench.say("starting PostgreSQL and Kafka")
    async with postgres_server(bench.work / "postgres") as dsn, kafka_server(bench.work / "kafka") as bootstrap:
        yield dsn, bootstrap


@asynccontextmanager
async def postgres(bench: Bench) -> AsyncIterator[str]:
    """Give the DSN of a PostgreSQL that nobody else uses."""
    bench.say("starting PostgreSQL")
    async with postgres_server(bench.work / "postgres") as dsn:
        yield dsn


@asynccontextmanager
async def kafka_and_aws(bench: Bench) -> AsyncIterator[tuple[str, str]]:
    """Give the bootstrap address of a Kafka and the endpoint URL of an AWS emulator that nobody else uses."""
    bench.say("starting Kafka and the AWS emulator")
    async with kafka_server(bench.work / "kafka") as bootstrap, aws_emulator(bench.work / "aws") as endpoint:
        yield bootstrap, endpoint


def fdatasync_rate(where: Path) -> float:
    """Return how often a second this disk makes 8 KiB durable: the ceiling of commits, one at a time."""
    page = bytes(8192)
    with (where / "fdatasync-probe").open("wb", buffering=0) as file:
        began, count = time.perf_counter(), 0
        while (spent := time.perf_counter() - began) < _PROBE_SECONDS:
            file.write(page)
            os.fdatasync(file.fileno())
            count += 1
    return count / spent
