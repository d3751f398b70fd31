"""Liveness, readiness and start-up as Kubernetes asks for them; readiness asks each dependency for real."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from prometheus_async.aio.web import server_stats

Check = Callable[[], Awaitable[None]]
_DEADLINE_SECONDS = 3.0
_CACHED_SECONDS = 1.0
_OK, _UNAVAILABLE = 200, 503


@dataclass
class Health:
    """What a service knows of itself; `checks` are asked in parallel, each with a deadline of its own."""

    checks: Mapping[str, Check]
    info: Mapping[str, Any]
    failed_parts: set[str] = field(default_factory=set)
    waiting_parts: Callable[[], Mapping[str, str]] = dict
    waiting_for: str = ""
    started: bool = False
    stopping: bool = False
    _last: tuple[float, dict[str, str]] = (0.0, {})
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of /livez, /readyz, /startupz, /metrics and /info."""
        return [
            web.get("/livez", self.livez),
            web.get("/readyz", self.readyz),
            web.get("/startupz", self.startupz),
            web.get("/metrics", server_stats),
            web.get("/info", self.information),
        ]

    async def livez(self, _: web.Request) -> web.Response:
        """Answer 503 once the supervisor has given up on a part: only a restart helps."""
        parts = sorted(self.failed_parts)
        return _answer(ok=not parts, body={"status": "failed" if parts else "ok", "failed_parts": parts})

    async def readyz(self, _: web.Request) -> web.Response:
        """Answer 503 unless started, not stopping, every dependency answers, and no part waits for one."""
        if not self.started or self.stopping:
            return _answer(ok=False, body={"status": "stopping"} if self.stopping else self._starting())
        # What a check does not find out, those at work do: a right that is lacking for what they do.
        checks = {**await self._ask(), **self.waiting_parts()}
        ok = all(state == "ok" for state in checks.values())
        return _answer(ok=ok, body={"status": "ok" if ok else "unavailable", "checks": checks})

    async def startupz(self, _: web.Request) -> web.Response:
        """Answer 503 until everything is open."""
        return _answer(ok=self.started, body={"status": "ok"} if self.started else self._starting())

    async def information(self, _: web.Request) -> web.Response:
        """Tell name, version, commit and dependencies."""
        return web.json_response({**self.info, "dependencies": sorted(self.checks)})

    def _starting(self) -> dict[str, str]:
        return {"status": "starting"} | ({"waiting_for": self.waiting_for} if self.waiting_for else {})

    async def _ask(self) -> dict[str, str]:
        async with self._lock:
            asked, states = self._last
            if time.monotonic() - asked < _CACHED_SECONDS:
                return states
            states = dict(zip(self.checks, await asyncio.gather(*map(_state, self.checks.values())), strict=True))
            self._last = (time.monotonic(), states)
            return states


async def _state(check: Check) -> str:
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            await check()
    except TimeoutError:
        return f"no answer within {_DEADLINE_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 -- told to whoever asks: that is what a check is for
        return str(error) or repr(error)
    return "ok"


def _answer(*, ok: bool, body: dict[str, Any]) -> web.Response:
    return web.json_response(body, status=_OK if ok else _UNAVAILABLE)
