"""UUIDv7 (RFC 9562): ids that sort by the time they were made."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from uuid import UUID

_MILLISECONDS = 1_000
_RANDOM_BITS = 74


def _drawn() -> tuple[int, int]:
    return time.time_ns() // 1_000_000, secrets.randbits(_RANDOM_BITS)


_SOURCE: ContextVar[Callable[[], tuple[int, int]]] = ContextVar("ids", default=_drawn)


def uuid7() -> UUID:
    """Return a new UUIDv7: 48 bits of Unix milliseconds, then random bits."""
    milliseconds, random = _SOURCE.get()()
    high = (milliseconds << 16) | 0x7000 | (random >> 62)
    low = 0x8000_0000_0000_0000 | (random & 0x3FFF_FFFF_FFFF_FFFF)
    return UUID(int=(high << 64) | low)


@contextmanager
def made_by(source: Callable[[], tuple[int, int]]) -> Iterator[None]:
    """Make ids of the milliseconds and 74 random bits that a source gives, here and in tasks that are started here."""
    token = _SOURCE.set(source)
    try:
        yield
    finally:
        _SOURCE.reset(token)


def time_of(value: UUID) -> datetime:
    """Return the millisecond in which a UUIDv7 was made."""
    return datetime.fromtimestamp((value.int >> 80) / _MILLISECONDS, UTC)
