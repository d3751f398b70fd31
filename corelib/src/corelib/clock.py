"""The injected clock: handlers ask it for the time, so that tests can run in virtual time."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time in UTC."""

    def now(self) -> datetime:
        """Return the time now, with `tzinfo` UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the machine's time in UTC."""
        return datetime.now(UTC)


@dataclass
class ManualClock:
    """A clock that moves only when told to, for tests."""

    time: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def now(self) -> datetime:
        """Return the time it was last set to."""
        return self.time

    def advance(self, by: timedelta) -> None:
        """Move the time forward."""
        self.time += by
