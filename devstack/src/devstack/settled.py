"""Waits for the shop to come to rest: the audit again and again until it finds nothing, or patience ends."""

import asyncio
import time

from devstack.audit import Audit, audit
from devstack.settings import StackSettings

_POLL_SECONDS = 2.0


async def settled(settings: StackSettings, *, patience_seconds: float = 180.0) -> Audit:
    """Return the first audit without findings, or the last one: findings that stay are findings."""
    deadline = time.monotonic() + patience_seconds
    result = await audit(settings)
    while result.findings and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_SECONDS)
        result = await audit(settings)
    return result
