"""For tests: a service as a process of its own, in memory."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from corelib.testing.running import free_port, until

_STOP_SECONDS = 30.0


@asynccontextmanager
async def alone(package: str, **environment: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Run `python -m package --in-memory` with these variables and no other; gives a session at its address.

    Raises `RuntimeError` with what the process said when it ends before it is ready, or not well.
    """
    told = {"SOUK_PORT": str(free_port()), **environment}
    command = (sys.executable, "-m", package, "--in-memory")
    process = await asyncio.create_subprocess_exec(*command, env=told, stdout=PIPE, stderr=STDOUT)
    said = asyncio.create_task(_read(process))
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{told['SOUK_PORT']}") as session:

            async def is_ready() -> bool:
                if process.returncode is not None:
                    raise RuntimeError(f"{package} ended with {process.returncode}: {await said}")
                return await _answers(session)

            await until(is_ready)
            yield session
    finally:
        await _end(process)
    if process.returncode:
        raise RuntimeError(f"{package} ended with {process.returncode}: {await said}")


async def ask(
    session: aiohttp.ClientSession, request: str, body: object = None, *, token: str = "", **headers: str
) -> tuple[int, Any]:
    """Send a request such as "GET /info"; return the status and the JSON of the answer."""
    method, path = request.split()
    if token:
        headers["Authorization"] = f"Bearer {token}"
    async with session.request(method, path, json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None) if await answer.read() else None


async def _read(process: Process) -> str:
    assert process.stdout is not None  # noqa: S101 -- for the type checker: it is a pipe
    return (await process.stdout.read()).decode(errors="replace")


async def _answers(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/readyz") as answer:
            return answer.ok
    except aiohttp.ClientError:
        return False


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
