"""`make bench-import`: what importing a service costs, and what it holds when it has nothing to do.

Seconds of CPU, since a shared machine's clock counts others' work; every import is a fresh interpreter with warm files,
compiled before, and loads what `python -m svc_mine` does. The libraries that no service can do without, alone, are the
limit.
"""

import asyncio
import os
import resource
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil

from bench.frame import Aim, Bench, Contender, Figure
from bench.program import program
from devstack.parts import aws_emulator, kafka_server, postgres_server
from devstack.settings import HOST, free_ports

SERVICES = ("order", "payment", "product")
LIBRARIES = "aiohttp, pydantic, asyncpg, aiokafka alone, s"
_IDLE_SECONDS = 10
_START_SECONDS = 120


async def run(bench: Bench) -> Figure:
    """Import each service some times, then let each idle on real parts."""
    rounds = 3 if bench.quick else 9
    compiled = _compiled(bench.work)
    imports = {f"import svc_{name}, s": _import(f"svc_{name}.__main__", compiled) for name in SERVICES}
    alone = {LIBRARIES: _import("aiohttp.web, pydantic, asyncpg, aiokafka", compiled)}
    for contend in (imports | alone).values():
        await contend()  # compiles
    samples = dict(await bench.interleaved(imports | alone, rounds=rounds, unit="s"))
    limit = {LIBRARIES: samples.pop(LIBRARIES)}
    async with _parts(bench) as env:
        for name in SERVICES:
            idle = await _idle_mb(bench, name, env | compiled)
            samples[f"idle svc_{name}, MB"] = [idle]
            bench.say(f"idle svc_{name}: {idle:.0f} MB")
    return Figure(
        title="Importing a service, and its idle memory",
        unit="s of CPU, MB",
        ours=samples,
        limit=limit,
        aims=[
            *(Aim(f"import svc_{name}, s", at_most=0.6) for name in SERVICES),
            *(Aim(f"import svc_{name}, s", over=LIBRARIES, at_most=2.0) for name in SERVICES),
            *(Aim(f"idle svc_{name}, MB", at_most=110) for name in SERVICES),
        ],
        notes={"best_import_s": {name: round(min(samples[name]), 3) for name in imports}},
    )


def _compiled(work: Path) -> dict[str, str]:
    """Return the variables by which Python keeps what it compiled, even where it is told to keep nothing."""
    return {"PYTHONPYCACHEPREFIX": str(work / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}


def _import(modules: str, compiled: Mapping[str, str]) -> Contender:
    async def contend() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", f"import {modules}", env={**os.environ, **compiled}
        )
        if await process.wait():
            raise RuntimeError(f"{modules} cannot be imported")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return contend


@asynccontextmanager
async def _parts(bench: Bench) -> AsyncIterator[dict[str, str]]:
    bench.say("starting PostgreSQL, Kafka and the AWS emulator")
    async with (
        postgres_server(bench.work / "postgres") as dsn,
        kafka_server(bench.work / "kafka") as bootstrap,
        aws_emulator(bench.work / "aws") as endpoint,
    ):
        yield {
            "SOUK_POSTGRES_DSN": dsn,
            "SOUK_KAFKA_BOOTSTRAP": bootstrap,
            "SOUK_AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "local-not-a-key",
            "AWS_SECRET_ACCESS_KEY": "local-not-a-secret",
            "SOUK_PROVIDER_WEBHOOK_SECRET": "local-not-a-secret",
            "SOUK_LOG_LEVEL": "warning",
        }


async def _idle_mb(bench: Bench, name: str, env: Mapping[str, str]) -> float:
    """Return the resident memory of a service that provisioned beforehand and has nothing to do."""
    port = free_ports(1)[0]
    env = {**env, "SOUK_PORT": str(port)}
    log = bench.work / f"{name}.log"
    module = (sys.executable, "-m", f"svc_{name}")
    async with program((*module, "--provision"), env, log) as provisioning:
        if await provisioning.process.wait():
            raise RuntimeError(f"svc_{name} cannot provision")
    async with program(module, env, log) as service:
        await _until_ready(port)
        await asyncio.sleep(_IDLE_SECONDS)
        return psutil.Process(service.pid).memory_info().rss / 2**20


async def _until_ready(port: int) -> None:
    async with asyncio.timeout(_START_SECONDS), aiohttp.ClientSession() as session:
        while True:
            try:
                if (await session.get(f"http://{HOST}:{port}/readyz")).ok:
                    return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
