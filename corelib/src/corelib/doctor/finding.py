"""What a check finds: how bad it is, what is wrong in plain words, and what to do."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from corelib.service import Service


class Level(StrEnum):
    """A problem breaks a promise now, a warning will, a note is worth knowing."""

    PROBLEM = "problem"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    level: Level
    about: str
    what: str
    remedy: str


@dataclass(frozen=True)
class Case:
    """An open service, and from when on something is worth a finding."""

    service: Service
    watch: Callable[[], Awaitable[None]]
    """Waits between two looks, longer than a relay takes to renew its lease."""
    late: timedelta = timedelta(seconds=30)
    """What waits longer than this is late."""
    long: timedelta = timedelta(minutes=5)
    """A transaction open for longer than this is long."""
    skew: timedelta = timedelta(seconds=2)
    """Clocks that differ by more than this are wrong."""


class Check(Protocol):
    """A function that looks at one thing. Raises `CorelibError` where it cannot."""

    __name__: str

    async def __call__(self, case: Case) -> Sequence[Finding]:
        """Return what is wrong with it."""
        ...


def problem(about: str, what: str, remedy: str) -> Finding:
    """Return a finding that breaks a promise."""
    return Finding(Level.PROBLEM, about, what, remedy)


def warning(about: str, what: str, remedy: str) -> Finding:
    """Return a finding that will break one."""
    return Finding(Level.WARNING, about, what, remedy)


def note(about: str, what: str, remedy: str = "") -> Finding:
    """Return something worth knowing."""
    return Finding(Level.NOTE, about, what, remedy)


def span(seconds: float) -> str:
    """Return a time span as people say it."""
    return str(timedelta(seconds=round(seconds)))
