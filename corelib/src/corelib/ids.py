"""UUIDv7 (RFC 9562): ids that sort by the time they were made."""

import secrets
import time
from datetime import UTC, datetime
from uuid import UUID

_MILLISECONDS = 1_000


def uuid7() -> UUID:
    """Return a new UUIDv7: 48 bits of Unix milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    high = (milliseconds << 16) | 0x7000 | (random >> 62)
    low = 0x8000_0000_0000_0000 | (random & 0x3FFF_FFFF_FFFF_FFFF)
    return UUID(int=(high << 64) | low)


def time_of(value: UUID) -> datetime:
    """Return the millisecond in which a UUIDv7 was made."""
    return datetime.fromtimestamp((value.int >> 80) / _MILLISECONDS, UTC)
