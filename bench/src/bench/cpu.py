"""What a piece of work costs each program in CPU, which is what limits most figures, and which no clock tells."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from statistics import median

import psutil

BENCH, POSTGRES, KAFKA, CONTENDER = "this bench", "PostgreSQL", "Kafka", "the contender"
_MICROSECONDS = 1e6


@dataclass
class Meter:
    """Counts the CPU of this process and of all that it started, by program and contender."""

    _costs: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    @contextmanager
    def over(self, contender: str, pieces: Callable[[], float]) -> Iterator[None]:
        """Count what the block takes, for as many pieces of work as there were when it ends."""
        before = cpu_seconds()
        yield
        self.count(contender, before, cpu_seconds(), pieces())

    def count(self, contender: str, before: Mapping[str, float], after: Mapping[str, float], pieces: float) -> None:
        """Count what was taken between two readings of `cpu_seconds`, for so many pieces of work."""
        for program, seconds in after.items():
            self._costs[contender][program].append(_MICROSECONDS * (seconds - before.get(program, 0.0)) / pieces)

    def costs(self) -> Mapping[str, Mapping[str, float]]:
        """Return microseconds of CPU a piece, by contender and program: the median of the rounds."""
        return {
            contender: {program: round(median(rounds), 1) for program, rounds in sorted(programs.items())}
            for contender, programs in self._costs.items()
        }


def cpu_seconds() -> dict[str, float]:
    """Return what this process and those it started have taken by now, by program; of what ended, its parent."""
    seconds: dict[str, float] = defaultdict(float)
    this = psutil.Process()
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            # Of those that this process has waited for nobody can tell any more which they were.
            ended = 0.0 if process.pid == os.getpid() else times.children_user + times.children_system
            seconds[_program(process)] += times.user + times.system + ended
    return seconds


def _program(process: psutil.Process) -> str:
    if process.pid == os.getpid():
        return BENCH
    if process.name() == "postgres":
        return POSTGRES
    return KAFKA if "kafka.Kafka" in process.cmdline() else CONTENDER
