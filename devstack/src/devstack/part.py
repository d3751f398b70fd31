"""A part of the stack: a program, when it may start, and how one sees that it is ready."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

Probe = Callable[[], Awaitable[bool]]
Step = Callable[[], Awaitable[None]]

_PROBE_SECONDS = 2.0


@dataclass(frozen=True)
class Part:
    """One program of the stack. Paths and ports are final: a part is described anew for each start of the stack."""

    name: str
    command: tuple[str, ...]
    ready: Probe | None = None
    """Tells whether it serves; without one it is ready when its process exits with 0 (a step, not a server)."""
    url: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    """Ports it listens on, by the variable that changes each."""
    cwd: Path | None = None
    user: int | None = None
    """The user and group it runs as, when that is not ours."""
    after: tuple[str, ...] = ()
    """Parts that must be ready before it starts, and that are stopped only when it has ended."""
    prepare: Step | None = None
    """Fetches, writes configuration, lays out data; runs at once, without waiting for other parts."""
    finish: Step | None = None
    """Runs once it answers; it is ready when this is done."""
    farewell: Step | None = None
    """Runs before it is asked to stop: saves what it would lose."""
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 15.0
    start_seconds: float = 60.0
    supervised: bool = False
    """Started again by `Stack.supervise` when it dies."""

    @property
    def is_step(self) -> bool:
        """Tell whether it is a program that runs to its end, not a server."""
        return self.ready is None


def http(url: str) -> Probe:
    """Return a probe that is satisfied by any 2xx answer."""

    async def probe() -> bool:
        try:
            timeout = aiohttp.ClientTimeout(total=_PROBE_SECONDS)
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
                return answer.ok
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    return probe


def tcp(host: str, port: int) -> Probe:
    """Return a probe that is satisfied by an accepted connection."""

    async def probe() -> bool:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                _, writer = await asyncio.open_connection(host, port)
        except (TimeoutError, OSError):
            return False
        writer.close()
        return True

    return probe
