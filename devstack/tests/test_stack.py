"""The stack as a whole, with the parts that start quickly."""

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from devstack.errors import DevstackError
from devstack.settings import StackSettings
from devstack.stack import Stack
from devstack.state import State


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    stack = Stack(StackSettings.on_free_ports(tmp_path / "home"))
    yield stack
    await stack.down()


def devstack(*arguments: str, settings: StackSettings) -> subprocess.CompletedProcess[str]:
    names = [name for name in StackSettings.model_fields if name.endswith("_port")]
    ports = {f"SOUK_{name}".upper(): str(getattr(settings, name)) for name in names}
    env = {**os.environ, "SOUK_HOME": str(settings.home), **ports}
    command = (sys.executable, "-m", "devstack", *arguments)
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)


async def test_a_second_up_finds_the_running_one(stack: Stack) -> None:
    assert await stack.up(["gateway"])
    pid = State(stack.settings.home).load()["gateway"].pid
    assert not await Stack(stack.settings).up(["gateway"])
    assert State(stack.settings.home).load()["gateway"].pid == pid


async def test_a_killed_part_is_started_again(stack: Stack) -> None:
    await stack.up(["gateway"])
    orphans = psutil.Process(State(stack.settings.home).load()["gateway"].pid).children()
    stack.supervise()
    assert stack.kill("gateway", signal.SIGKILL)
    assert not await stack.is_healthy("gateway")
    await stack.healthy("gateway", deadline_seconds=20)
    assert orphans
    assert not [orphan for orphan in orphans if orphan.is_running() and orphan.status() != psutil.STATUS_ZOMBIE]


async def test_what_up_leaves_running_another_process_stops(stack: Stack) -> None:
    up = await asyncio.to_thread(devstack, "up", "--only", "gateway", settings=stack.settings)
    assert up.returncode == 0, up.stderr
    process = State(stack.settings.home).load()["gateway"].process
    assert process.alive()
    down = await asyncio.to_thread(devstack, "down", settings=stack.settings)
    assert down.returncode == 0, down.stderr
    assert not process.alive()
    assert State(stack.settings.home).load() == {}


async def test_an_unknown_part_is_named(stack: Stack) -> None:
    with pytest.raises(DevstackError, match="There is no part kafak; the parts are postgres, kafka"):
        await stack.up(["kafak"])


async def test_the_gateway_answers_for_itself_with_problems(stack: Stack) -> None:
    await stack.up(["gateway"])
    cases = {("/nowhere", b""): 404, ("/api/v1/orders", b""): 502, ("/api/v1/orders", b" " * 1_048_577): 413}
    async with aiohttp.ClientSession() as session:
        for (path, body), expected in cases.items():
            async with session.post(f"{stack.settings.gateway_url}{path}", data=io.BytesIO(body)) as answer:
                assert (answer.status, answer.content_type) == (expected, "application/problem+json")
                assert (await answer.json(content_type=None))["status"] == expected


async def test_a_port_taken_by_another_stops_the_start(stack: Stack) -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", stack.settings.gateway_port):
        up = await asyncio.to_thread(devstack, "up", "--only", "gateway", settings=stack.settings)
    assert up.returncode == 1
    assert f"Port {stack.settings.gateway_port}, wanted for gateway" in up.stderr
    assert "SOUK_GATEWAY_PORT" in up.stderr


async def test_without_java_one_sentence_names_the_package(stack: Stack, tmp_path: Path) -> None:
    env = {**os.environ, "PATH": str(tmp_path), "SOUK_HOME": str(stack.settings.home)}
    env.pop("JAVA_HOME", None)
    command = (sys.executable, "-m", "devstack", "prerequisites")
    answer = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "openjdk-17-jre-headless" in answer.stderr
    assert "make demo ANALYTICS=0 KAFKA=host:port" in answer.stderr
    allowed = {**env, "ANALYTICS": "0", "SOUK_KAFKA_BOOTSTRAP": "127.0.0.1:9092"}
    assert (await asyncio.to_thread(subprocess.run, command, env=allowed, check=False)).returncode == 0


def test_secrets_are_kept_and_read_by_their_owner_only(tmp_path: Path) -> None:
    first, second = (StackSettings.on_free_ports(tmp_path).secrets for _ in range(2))
    assert first.admin_password() == second.admin_password()
    assert first.signing_key_file().read_text().startswith("-----BEGIN PRIVATE KEY-----")
    for path in (tmp_path / "secrets").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
