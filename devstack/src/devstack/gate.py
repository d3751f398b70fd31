"""A gate before AWS' emulator that turns calls away: the emulator asks nobody for rights, AWS does."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

_KEPT = frozenset({"content-type", "x-amz-target", "x-amz-date", "authorization"})

Refuse = Callable[[str, bytes], str | None]
"""Given an operation, e.g. "PutItem", and the call's body, returns the error code to refuse it with, or None."""


class Gate:
    """HTTP to an endpoint of AWS' JSON protocol: use `address` in its stead. All passes until `refuse` is set."""

    def __init__(self, endpoint: str) -> None:
        """Build a gate before this endpoint."""
        self._endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.address = ""
        self.refuse: Refuse | None = None

    def refuse_all(self, code: str, *operations: str) -> None:
        """Refuse these operations, or without any every one, with an error code."""
        self.refuse = lambda operation, _: code if not operations or operation in operations else None

    def open(self) -> None:
        """Let all pass."""
        self.refuse = None

    async def __aenter__(self) -> Self:
        """Stand at a free port."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._session = aiohttp.ClientSession()
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.address = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Go."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _answer(self, request: web.Request) -> web.Response:
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        body = await request.read()
        if self.refuse is not None and (code := self.refuse(operation, body)):
            told = {"__type": f"com.amazon.coral.service#{code}", "message": f"not authorized to perform: {operation}"}
            return web.json_response(told, status=400, content_type="application/x-amz-json-1.0")
        if self._session is None:
            raise RuntimeError("the gate is not there")
        headers = {name: value for name, value in request.headers.items() if name.lower() in _KEPT}
        url = f"{self._endpoint.rstrip('/')}{request.path_qs}"
        async with self._session.request(request.method, url, data=body, headers=headers) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() in _KEPT}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)
