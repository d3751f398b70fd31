"""Parts start in order, and what goes wrong is named."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devstack.errors import PartDied, PortBusy
from devstack.part import Part, tcp
from devstack.settings import HOST, free_ports
from devstack.starting import Starter, check_ports
from devstack.state import State

SERVE = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(State(tmp_path), tmp_path / "logs", lambda *_: None)
    yield starter
    for process in starter.children.values():
        if process.child is not None:
            process.child.kill()
            process.child.wait()


def server(name: str, *after: str) -> Part:
    port = free_ports(1)[0]
    return Part(name, (sys.executable, "-c", SERVE, str(port)), tcp(HOST, port), ports={"PORT": port}, after=after)


def dying(code: str, *, start_seconds: float = 60.0) -> Part:
    return Part("dying", (sys.executable, "-c", code), tcp(HOST, free_ports(1)[0]), start_seconds=start_seconds)


async def test_a_part_starts_when_those_it_needs_are_ready(starter: Starter, tmp_path: Path) -> None:
    steps: list[str] = []

    async def note() -> None:
        steps.append("first is ready")

    first = server("first")
    second = Part("second", (sys.executable, "-c", ""), after=("first",))
    await starter.start_all([second, Part(**{**vars(first), "finish": note})], frozenset())
    assert steps == ["first is ready"]
    assert State(tmp_path).load().keys() == {"first", "second"}
    assert State(tmp_path).load()["second"].started >= State(tmp_path).load()["first"].started


async def test_a_part_that_dies_is_named_with_the_end_of_its_log(starter: Starter) -> None:
    with pytest.raises(PartDied, match=r"dying ended with code 3(?s:.*)\| no such table: stars") as died:
        await starter.start_all([dying("print('no such table: stars'); raise SystemExit(3)")], frozenset())
    assert died.value.tail == ("no such table: stars",)


async def test_a_part_that_never_gets_ready_is_named(starter: Starter) -> None:
    with pytest.raises(PartDied, match="was not ready after"):
        await starter.start_all([dying("import time; time.sleep(600)", start_seconds=0.5)], frozenset())


async def test_a_step_that_fails_is_named(starter: Starter) -> None:
    with pytest.raises(PartDied, match="step ended with code 1"):
        await starter.start_all([Part("step", (sys.executable, "-c", "raise SystemExit(1)"))], frozenset())


def test_a_busy_port_is_named_with_the_variable_that_changes_it() -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        part = Part("order", (), tcp(HOST, port), ports={"SOUK_ORDER_PORT": port})
        with pytest.raises(PortBusy, match=f"Port {port}, wanted for order, .* SOUK_ORDER_PORT"):
            check_ports([part])


PARENT = """
import subprocess, sys
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE).stdout.readline()
"""


async def test_stopping_a_part_leaves_not_even_a_child_that_is_deaf_to_it(starter: Starter) -> None:
    port = free_ports(1)[0]
    part = Part("parent", (sys.executable, "-c", PARENT + SERVE, str(port)), tcp(HOST, port))
    await starter.start_all([part], frozenset())
    process = starter.children["parent"]
    (child,) = psutil.Process(process.pid).children()
    await process.stop(part.stop_signal, 5)
    assert not process.alive()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_a_cancelled_start_starts_nothing_more(starter: Starter) -> None:
    begun = asyncio.Event()

    async def endless() -> None:
        begun.set()
        await asyncio.Event().wait()

    part = Part("slow", (sys.executable, "-c", ""), prepare=endless)
    task = asyncio.create_task(starter.start_all([part, server("after", "slow")], frozenset()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert starter.children == {}
