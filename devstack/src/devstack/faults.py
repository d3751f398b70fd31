"""An AWS endpoint that fails on demand: it passes calls on to a real one, and tampers with what a test names."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from devstack.settings import HOST

_HOP = frozenset({"host", "content-length", "transfer-encoding", "connection"})

Pass = Callable[[bytes], Awaitable[web.Response]]
Fault = Callable[[bytes, Pass], Awaitable[web.Response]]
"""What is done instead of passing a call on: gets its body, and a way to pass one on after all."""


class FaultyAws:
    """A proxy: use `address` in the endpoint's stead; `faults` are what the next calls of an operation meet, in turn.

    `calls` are the bodies of all calls, by operation.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint.rstrip("/")
        self.faults: dict[str, list[Fault]] = {}
        self.calls: dict[str, list[bytes]] = {}
        self.address = ""
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, 0)
        await site.start()
        self.address = f"http://{HOST}:{self._runner.addresses[0][1]}"
        self._session = aiohttp.ClientSession(auto_decompress=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.Response:
        body = await request.read()
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.calls.setdefault(operation, []).append(body)

        async def forward(changed: bytes) -> web.Response:
            headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
            assert self._session is not None  # noqa: S101 -- set as long as we listen
            url = f"{self._endpoint}{request.rel_url}"
            async with self._session.request(request.method, url, data=changed, headers=headers) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)

        waiting = self.faults.get(operation)
        if not waiting:
            return await forward(body)
        try:
            return await waiting.pop(0)(body, forward)
        except ConnectionResetError:
            if request.transport is not None:
                request.transport.abort()
            raise


async def lost_answer(body: bytes, forward: Pass) -> web.Response:
    """Do what was asked, and hang up before the answer."""
    await forward(body)
    raise ConnectionResetError


def refusal(code: str, *, status: int = 400) -> Fault:
    """Do nothing, and answer with an error of this code."""

    async def refuse(body: bytes, forward: Pass) -> web.Response:  # noqa: ARG001 -- a refusal looks at neither
        return web.json_response({"__type": f"com.amazonaws#{code}", "message": "on demand"}, status=status)

    return refuse


def held(until: asyncio.Event) -> Fault:
    """Do what was asked, and hold the answer back until an event."""

    async def hold(body: bytes, forward: Pass) -> web.Response:
        answer = await forward(body)
        await until.wait()
        return answer

    return hold
