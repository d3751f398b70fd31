"""Every error that corelib raises. Translated to HTTP in one place: `corelib.http.problem`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class CorelibError(Exception):
    """Root of corelib's errors; never raised itself."""


class Conflict(CorelibError):
    """Raised when another transaction changed what this one relied on; safe to run again from the start."""


class Collision(Conflict):
    """Raised when what a transaction makes is there already: another's, and a rerun decides by it, or for good."""


@dataclass
class Duplicate(CorelibError):
    """Raised when a transaction's mark is already committed: the work was done before."""

    scope: str
    id: str
    remembered: bytes | None = None


class Forgotten(CorelibError):
    """Raised when an event, or a replay's, is older than inboxes remember: whether it was handled cannot be told."""


class Abandoned(CorelibError):
    """Raised when what was waited for was cancelled by somebody else: a task that is shared, a client that closed."""


class Unavailable(CorelibError):
    """Raised when a store, broker or peer cannot be reached in time. A commit that was under way may have happened."""

    def __init__(self, dependency: str, reason: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(f"{dependency} is unavailable: {reason}")
        self.dependency = dependency
        self.retry_after_seconds = retry_after_seconds


class NeverTaken(CorelibError):
    """Raised when a broker will never take some rows of an outbox as they are; none of what came with them is sent."""

    def __init__(self, rows: Sequence[Any], reason: str) -> None:
        super().__init__(reason)
        self.rows = rows
        self.reason = reason


class InvalidEvent(CorelibError):
    """Raised by `publish` when an event may never be sent: not declared, without channel or key, not valid."""


class TooLarge(CorelibError):
    """Raised when an event is larger than its channel takes, or a transaction than its store can commit at once."""


class Malformed(CorelibError):
    """Raised when a record taken from a broker cannot be read as the event it claims to be."""


class Problem(CorelibError):
    """Raised by a handler to answer with an RFC 9457 problem document.

    `Problem(404, "product-not-found", "There is no product p-1.")`; `extra` members join the document.
    """

    def __init__(self, status: int, slug: str, detail: str, **extra: object) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.extra = extra
        self.headers: dict[str, str] = {}


class LeaseLost(CorelibError):
    """Raised when a lease passed to another holder; whoever sees it must stop at once."""


class EraChanged(CorelibError):
    """Raised when a database was restored, so that an outbox's position no longer means anything."""


class SettingsError(CorelibError):
    """Raised when a setting is missing or wrong; the message names variable, value given and what is allowed."""


class UsageError(CorelibError):
    """Raised when a command was given what it cannot work with; the message says what would do."""
