"""`make bench-http`: what a validated POST costs a server, by corelib, bare aiohttp and FastAPI on uvicorn.

The figure is requests per second of the server's own CPU: what one core could serve, whatever else the machine does.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import orjson
import psutil

from bench.frame import Aim, Bench, Contender, Figure, postgres
from bench.program import Program, program
from devstack.settings import HOST, free_ports

_CONNECTIONS = 16
_ORDER = orjson.dumps(
    {
        "customer": "0198c0de-0000-7000-8000-000000000001",
        "currency": "EUR",
        "lines": [{"sku": f"sku-{number}", "quantity": 2, "price": 1_250} for number in range(3)],
    }
)
_REQUEST = (
    b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_ORDER), _ORDER)
)
CORELIB, AIOHTTP, FASTAPI = "corelib", "bare aiohttp", "FastAPI, uvicorn"


async def run(bench: Bench) -> Figure:
    """Send the same requests to each server, in turn."""
    requests, rounds = (5_000, 3) if bench.quick else (20_000, 9)
    async with postgres(bench) as dsn, AsyncExitStack() as stack:
        contenders: dict[str, Contender] = {}
        for name, kind in ((CORELIB, "corelib"), (AIOHTTP, "aiohttp"), (FASTAPI, "fastapi")):
            port, server = await stack.enter_async_context(_server(bench, kind, dsn))
            contenders[name] = _contender(server, port, requests)
            await contenders[name]()  # warm
        samples = await bench.interleaved(contenders, rounds=rounds, unit="requests/CPU second")
    return Figure(
        title="A POST of three lines, validated and answered",
        unit="requests per second of the server's CPU",
        ours={CORELIB: samples[CORELIB]},
        peers={FASTAPI: samples[FASTAPI]},
        limit={AIOHTTP: samples[AIOHTTP]},
        aims=[Aim(CORELIB, over=AIOHTTP, at_least=0.8), Aim(CORELIB, over=FASTAPI, at_least=1.5)],
    )


@asynccontextmanager
async def _server(bench: Bench, kind: str, dsn: str) -> AsyncIterator[tuple[int, Program]]:
    port = free_ports(1)[0]
    command = (sys.executable, "-m", "bench.http_servers", kind, str(port))
    async with program(command, {"SOUK_POSTGRES_DSN": dsn}, bench.work / f"{kind}.log") as server:
        await _until_serving(server, port)
        yield port, server


async def _until_serving(server: Program, port: int) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while server.alive():
            try:
                headers = {"Content-Type": "application/json"}
                if (await session.post(f"http://{HOST}:{port}/orders", data=_ORDER, headers=headers)).ok:
                    return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
    raise RuntimeError("the server ended")


def _contender(server: Program, port: int, requests: int) -> Contender:
    async def contend() -> float:
        process = psutil.Process(server.pid)
        before = process.cpu_times()
        await asyncio.gather(*(_send(port, requests // _CONNECTIONS) for _ in range(_CONNECTIONS)))
        after = process.cpu_times()
        spent = after.user + after.system - before.user - before.system
        return requests // _CONNECTIONS * _CONNECTIONS / spent

    return contend


async def _send(port: int, requests: int) -> None:
    """Send requests one after another on a connection of its own, by hand: a client costs more than these servers."""
    reader, writer = await asyncio.open_connection(HOST, port)
    for _ in range(requests):
        writer.write(_REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 201"):
            raise RuntimeError(head.decode())
        await reader.readexactly(_content_length(head))
    writer.close()
    await writer.wait_closed()


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    raise RuntimeError("the answer has no length")
