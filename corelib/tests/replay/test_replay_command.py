"""`corelib replay` as an operator gives it: in a process, on a terminal or not, interrupted and gone on with."""

import asyncio
import contextlib
import os
import re
import shlex
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import orjson
import pytest
import pytest_asyncio
from written import STORES, shelves, written

from corelib.cli import frame
from corelib.cli.frame import opened
from corelib.cli.target import Target
from corelib.kafka.broker import Kafka
from corelib.operation import Operation
from corelib.service import Service
from corelib.store import CLAIM
from corelib.testing.running import until
from replay.steps import everything, publish

COUNT, KEYS = 60, 3
_PATIENCE_SECONDS = 60


class Shelves:
    """A service that has delivered some events, none of which is on its topic."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def fill(self) -> None:
        (kind,) = self._service.publishes
        events = [kind.model_validate({"shelf": f"k{number % KEYS}", "number": number}) for number in range(COUNT)]
        await publish(self._service.store, *events)
        reader = self._service.store.outbox("kafka", frozenset({"shelves"}))
        assert await reader.acquire("test")
        while pending := await reader.read(1_000):
            await reader.acknowledge(pending)
        await reader.release()

    async def topic(self) -> list[int]:
        """Return the numbers on the topic, per key in order."""
        kafka = self._service.brokers["kafka"]
        assert isinstance(kafka, Kafka)
        (channel,) = self._service.channels()
        return [orjson.loads(record.payload)["number"] for record in await everything(kafka, channel)]

    async def has(self, count: int) -> bool:
        return len(await self.topic()) >= count

    async def operation(self, number: str) -> Operation:
        found = await self._service.store.operations.find(UUID(number))
        assert found is not None
        return found

    async def running(self) -> Operation:
        (operation,) = await self._service.store.operations.list()
        return operation

    async def a_minute_later(self) -> None:
        """Let the end of a run be past that nobody puts off any more."""
        operation = await self.running()
        assert operation.run is not None
        assert operation.run.until - self._service.clock.now() <= CLAIM
        past = operation.run.model_copy(update={"until": self._service.clock.now()})
        await self._service.store.operations.save(replace(operation, run=past))


@pytest_asyncio.fixture(params=STORES)
async def filled(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str
) -> AsyncIterator[Shelves]:
    name = written(
        shelves(request.param, partitions=2),
        tmp_path,
        monkeypatch,
        SOUK_POSTGRES_DSN=request.getfixturevalue("postgres_dsn"),
        SOUK_AWS_ENDPOINT_URL=request.getfixturevalue("aws_endpoint"),
        SOUK_KAFKA_BOOTSTRAP=kafka_bootstrap,
        COLUMNS="300",
        TERM="xterm",
    )
    service = Target(name).service()
    await service.provision()
    async with opened(service, *service.brokers.values()):
        yield Shelves(service)


async def begun(*arguments: str, stderr: int = PIPE) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "corelib.cli", *arguments, stdout=PIPE, stderr=stderr
    )


async def end(process: Process) -> tuple[int, str, str]:
    """Return the exit code, and what was said on standard output and standard error."""
    out, complaints = await asyncio.wait_for(process.communicate(), _PATIENCE_SECONDS)
    return process.returncode or 0, out.decode(), (complaints or b"").decode()


async def test_a_replay_that_ctrl_c_stopped_is_gone_on_with_by_the_command_that_it_names(filled: Shelves) -> None:
    await filled.fill()
    go = ("--go", "--reason", "a test", "--who", "ann")
    process = await begun("replay", *go, "--rate", "4")  # one at a time, for a quarter of a minute
    await until(lambda: filled.has(5))
    process.send_signal(signal.SIGINT)
    code, _, complaints = await end(process)
    assert code == frame.INTERRUPTED
    assert complaints.endswith("Interrupted.\n")
    command = re.search(r"^It can be gone on with: corelib (replay --resume (\S+))$", complaints, re.MULTILINE)
    assert command is not None

    stopped, before = await filled.operation(command[2]), await filled.topic()
    reached = stopped.progress["sent"]
    assert stopped.ended is None
    # What was on its way when Ctrl-C came may have arrived.
    assert 5 - 1 <= reached <= len(before) <= reached + 1 < COUNT

    code, out, complaints = await end(await begun(*shlex.split(command[1]), "--rate", "0", "--who", "bob"))
    assert (code, complaints.splitlines()[-1]) == (frame.OK, f"Sending: {COUNT} of {COUNT}.")
    assert f"Sent {COUNT} events again. It is written down as {command[2]}." in out
    times = Counter(await filled.topic())
    assert set(times) == set(range(COUNT))
    assert {number for number, count in times.items() if count > 1} <= set(before)
    assert times.total() - COUNT <= len(before) - reached
    for key in range(KEYS):
        of_the_key = [number for number in dict.fromkeys(await filled.topic()) if number % KEYS == key]
        assert of_the_key == sorted(of_the_key)

    final = await filled.operation(command[2])
    assert (final.who, final.progress["sent"], final.ended is None) == ("ann", COUNT, False)
    code, out, _ = await end(await begun("outbox", "audit"))
    assert re.search(rf"replay resumed\W+bob\W+a test\W.*of {command[2]}, from {reached} ", out)


async def test_a_replay_that_runs_is_gone_on_with_by_nobody_else_until_it_was_killed_for_a_minute(
    filled: Shelves,
) -> None:
    await filled.fill()
    process = await begun("replay", "--go", "--reason", "a test", "--who", "ann", "--rate", "4")
    await until(lambda: filled.has(3))
    running = await filled.running()
    code, out, complaints = await end(await begun("replay", "--resume", str(running.id), "--who", "bob"))
    assert (code, out) == (frame.USAGE, "")
    assert re.fullmatch(
        rf"replay {running.id} is carried out by ann since [-\d]+ [:\d]+ \(UTC\): wait for its end, or stop it there\."
        r" If its process was killed, give this command again after [:\d]+\n",
        complaints,
    )
    process.kill()
    await end(process)
    code, _, complaints = await end(await begun("replay", "--resume", str(running.id), "--who", "bob"))
    assert (code, "is carried out by ann" in complaints) == (frame.USAGE, True)
    await filled.a_minute_later()
    code, out, _ = await end(await begun("replay", "--resume", str(running.id), "--rate", "0", "--who", "bob"))
    assert (code, f"Sent {COUNT} events again." in out) == (frame.OK, True)
    assert set(await filled.topic()) == set(range(COUNT))


async def test_on_a_terminal_a_bar_is_drawn_and_what_was_asked_goes_where_it_is_sent(filled: Shelves) -> None:
    """Standard output is for what was asked, so that it can be kept."""
    await filled.fill()
    controller, terminal = os.openpty()
    process = await begun("replay", "--go", "--reason", "a test", stderr=terminal)
    os.close(terminal)
    drawn = asyncio.create_task(asyncio.to_thread(all_of, controller))
    code, out, _ = await end(process)
    assert code == frame.OK
    assert "\x1b" not in out
    assert f"Sent {COUNT} events again." in out
    bars = re.findall(r"Sending ━+ (\d+)/(\d+) ", re.sub(r"\x1b\[[?\d]+[a-zA-Z]", "", await drawn))
    assert bars[-1] == (str(COUNT), str(COUNT))


def all_of(controller: int) -> str:
    """Return what a process wrote to its terminal."""
    parts: list[bytes] = []
    with os.fdopen(controller, "rb", buffering=0) as screen, contextlib.suppress(OSError):  # the end of a terminal
        while part := screen.read(4_096):
            parts.append(part)
    return b"".join(parts).decode()


async def test_to_a_log_a_line_is_said_at_each_tenth(filled: Shelves) -> None:
    await filled.fill()
    # Five at a time, which is less than a tenth.
    code, out, complaints = await end(await begun("replay", "--go", "--reason", "a test", "--rate", "20"))
    assert code == frame.OK
    assert re.fullmatch(rf"(Sending: \d+ of {COUNT}\.\n)+", complaints)
    told = [int(number) for number in re.findall(r"(\d+) of", complaints)]
    tenths = [number * 10 // COUNT for number in told]
    assert tenths == sorted(set(tenths))
    assert 2 < len(told) <= 10
    assert told[-1] == COUNT
    assert "Sending" not in out
