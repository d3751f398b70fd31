"""Processes that may outlive the program that started them: start, recognise, signal, stop to the last child."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from devstack.part import Part

_POLL_SECONDS = 0.05
_SAME_START_SECONDS = 2.0
_ORPHAN_SECONDS = 2.0
_TAIL_BYTES = 16_384


@dataclass
class Process:
    """A running program, ours or one found again by its pid and start time (pids are used anew, start times not)."""

    pid: int
    started: float
    child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def alive(self) -> bool:
        """Tell whether it still runs; a zombie does not."""
        if self.child is not None:
            return self.child.poll() is None
        return self._look() is not None

    def exit_code(self) -> int | None:
        """Return how it ended, if it was our child and has ended."""
        return None if self.child is None else self.child.poll()

    def send(self, number: int) -> bool:
        """Signal it alone; tell whether it was there."""
        if not self.alive():
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
            return True
        return False

    async def wait(self, deadline_seconds: float) -> bool:
        """Wait for its end; tell whether it came in time."""
        deadline = time.monotonic() + deadline_seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    async def crash(self) -> None:
        """Kill it and all it started at once, as a loss of power does; return when it is gone."""
        members = [*filter(None, [self._look()]), *self._family()]
        for member in members:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        await _still_there(members, _ORPHAN_SECONDS)
        if self.child is not None:
            self.child.wait()

    async def stop(self, number: signal.Signals, grace_seconds: float) -> None:
        """Ask it to stop, kill it after the grace period, then kill whatever it left behind."""
        family = self._family()
        if self.send(number) and not await self.wait(grace_seconds):
            self.send(signal.SIGKILL)
            await self.wait(grace_seconds)
        left = [member for member in {*family, *self._group()} if member.pid != self.pid]
        for last_word in (signal.SIGTERM, signal.SIGKILL):
            for member in left:
                with suppress(psutil.NoSuchProcess):
                    member.send_signal(last_word)
            left = await _still_there(left, _ORPHAN_SECONDS)

    def _look(self) -> psutil.Process | None:
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) > _SAME_START_SECONDS:
                return None
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except psutil.NoSuchProcess:
            return None

    def _family(self) -> list[psutil.Process]:
        process = self._look()
        with suppress(psutil.NoSuchProcess):
            return process.children(recursive=True) if process else []
        return []

    def _group(self) -> list[psutil.Process]:
        """Orphans of its process group; each part leads a session of its own, so its pid is the group's number."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(process.pid) == self.pid and process.create_time() >= self.started - _SAME_START_SECONDS:
                    found.append(process)
        return found


async def _still_there(family: list[psutil.Process], deadline_seconds: float) -> list[psutil.Process]:
    """Return those that have not ended by the deadline."""
    deadline = time.monotonic() + deadline_seconds
    while True:
        family = [member for member in family if not _ended(member)]
        if not family or time.monotonic() > deadline:
            return family
        await asyncio.sleep(_POLL_SECONDS)


def _ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def start(part: Part, log: Path) -> Process:
    """Start a part in a session of its own, so that a terminal's Ctrl-C reaches us and not it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 -- commands are ours, no shell
            part.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **part.env},
            cwd=part.cwd,
            start_new_session=True,
            user=part.user,
            group=part.user,
            extra_groups=None if part.user is None else (),
        )
    with suppress(psutil.NoSuchProcess):
        return Process(child.pid, psutil.Process(child.pid).create_time(), child)
    return Process(child.pid, time.time(), child)


def tail(log: Path, lines: int = 20, *, since: int = 0) -> Sequence[str]:
    """Return the last lines of a log, of what was written after byte `since`."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(since, size - _TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-lines:]
