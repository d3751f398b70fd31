"""Where events are on their way, and whether a relay gets anywhere: what an operator watches."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

import structlog

from corelib.errors import LeaseLost
from corelib.metrics import EVENT_STAGE, OUTBOX_LAG, RELAY_ACTIVE, RELAY_FAILURES, RELAY_STALLED

_STALLED_SECONDS = 10.0

_COMMITTED, _READ, _ACKNOWLEDGED = (EVENT_STAGE.labels(stage) for stage in ("committed", "read", "acknowledged"))

log = structlog.get_logger(__name__)


def committed(headers: Iterable[tuple[str, str]]) -> None:
    """Note that a transaction has committed, by the headers of its first event."""
    _COMMITTED.observe(_age(headers))


class Progress:
    """What one relay tells of itself. Stalled is who has had work for ten seconds and delivered none; idle has none."""

    def __init__(self, relay: str) -> None:
        self._relay = relay
        self._active = RELAY_ACTIVE.labels(relay)
        self._lag = OUTBOX_LAG.labels(relay)
        self._stalled = RELAY_STALLED.labels(relay)
        self._stuck_since: float | None = None
        self._failing = False
        self.failures = 0
        """How many rounds have failed since one delivered something."""
        self.waits_for = ""
        """What two rounds or more in a row have failed of; empty once one delivered all that it had."""

    def begins(self) -> None:
        """Note that this relay holds the lease."""
        self._active.set(1)

    def stands_by(self) -> None:
        """Note that this relay has no lease: what waits, and whether it moves, is for another to tell.

        Since when it was stuck itself is not forgotten: two that cannot send hand the lease to and fro.
        """
        self.waits_for = ""
        for gauge in (self._active, self._lag, self._stalled):
            gauge.set(0)

    def fails(self, error: BaseException | None) -> None:
        """Note what a round failed of."""
        self.failures += 1
        RELAY_FAILURES.labels(self._relay).inc()
        log.warning("relay waits for its store or broker", relay=self._relay, reason=str(error))
        if isinstance(error, LeaseLost):
            return  # another relay delivers
        if self._failing:  # once is soon over
            self.waits_for = str(error)
        self._failing = True

    def goes_well(self) -> None:
        """Note that nothing is left of what a round had: what failed before no longer does."""
        if self._failing:
            log.info("relay waits no longer", relay=self._relay)
        self._failing, self.waits_for = False, ""

    def read(self, headers: Iterable[tuple[str, str]]) -> None:
        """Note that events were read, by the headers of the first."""
        _READ.observe(_age(headers))

    def delivered(self, headers: Iterable[tuple[str, str]]) -> None:
        """Note that events were acknowledged, by the headers of the first."""
        _ACKNOWLEDGED.observe(_age(headers))
        self.failures = 0
        self._moves()

    def lags(self, seconds: float) -> None:
        """Note the age of the oldest event that waits, 0.0 where none does."""
        self._lag.set(seconds)
        if not seconds:
            self._moves()
            return
        now = asyncio.get_running_loop().time()
        self._stuck_since = now if self._stuck_since is None else self._stuck_since
        self._stalled.set(now - self._stuck_since >= _STALLED_SECONDS)

    def _moves(self) -> None:
        self._stuck_since = None
        self._stalled.set(0)


def _age(headers: Iterable[tuple[str, str]]) -> float:
    """Return the age of an event, by its CloudEvents time and this machine's clock."""
    time = next((value for name, value in headers if name == "ce_time"), None)
    return 0.0 if time is None else max(0.0, (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds())
