"""Starts parts in the order of their dependencies, as many at a time as those allow."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from devstack.errors import DevstackError, PartDied, PortBusy
from devstack.part import Part
from devstack.process import Process, start, tail
from devstack.settings import is_free
from devstack.state import Entry, State

_POLL_SECONDS = 0.1
Tell = Callable[[str, str], None]
"""Takes a part's name and what it is doing now."""


class Starter:
    """Starts the parts of one stack and notes each in its state."""

    def __init__(self, state: State, logs: Path, tell: Tell) -> None:
        self._state = state
        self._logs = logs
        self._tell = tell
        self.children: dict[str, Process] = {}

    async def start_all(self, parts: Sequence[Part], running: frozenset[str]) -> None:
        """Start all parts but those running; raise the first part's error after the others are called off."""
        todo = [part for part in parts if part.name not in running]
        check_ports(todo)
        ready = {part.name: asyncio.Event() for part in parts}
        for name in running & ready.keys():
            ready[name].set()
        try:
            async with asyncio.TaskGroup() as group:
                for part in todo:
                    group.create_task(self._start_in_order(part, ready))
        except ExceptionGroup as failed:
            expected = failed.subgroup(DevstackError)
            if expected is None:
                raise
            # The first is the cause; those of parts called off because of it would only hide it.
            raise expected.exceptions[0] from None

    async def _start_in_order(self, part: Part, ready: dict[str, asyncio.Event]) -> None:
        self._tell(part.name, "preparing")
        if part.prepare is not None:
            try:
                await part.prepare()
            except OSError as error:
                raise DevstackError(f"{part.name} cannot be prepared: {error}") from error
        for name in part.after:
            if name in ready:
                await ready[name].wait()
        await self.start(part)
        ready[part.name].set()

    async def start(self, part: Part) -> None:
        """Start one part and wait until it is ready; raise `PartDied`."""
        self._tell(part.name, "starting")
        began = time.monotonic()
        log = self._logs / f"{part.name}.log"
        written = log.stat().st_size if log.exists() else 0
        process = self.launch(part)
        deadline = began + part.start_seconds
        while not await _is_ready(part, process):
            if not process.alive() and not (part.is_step and process.exit_code() == 0):
                raise PartDied(part.name, _ending(process), str(log), tail(log, since=written))
            if time.monotonic() > deadline:
                slow = f"was not ready after {part.start_seconds:.0f} s"
                raise PartDied(part.name, slow, str(log), tail(log, since=written))
            await asyncio.sleep(_POLL_SECONDS)
        if part.finish is not None:
            await part.finish()
        self._tell(part.name, f"ready after {time.monotonic() - began:.1f} s")

    def launch(self, part: Part) -> Process:
        """Start one part and return at once."""
        process = start(part, self._logs / f"{part.name}.log")
        self.children[part.name] = process
        self._state.put(part.name, Entry(process.pid, process.started, part.url, dict(part.ports)))
        return process


def check_ports(parts: Sequence[Part]) -> None:
    """Raise `PortBusy` for the first port somebody else listens on."""
    for part in parts:
        for variable, port in part.ports.items():
            if not is_free(port):
                raise PortBusy(part.name, port, variable)


async def _is_ready(part: Part, process: Process) -> bool:
    if part.ready is None:
        return process.exit_code() == 0
    return process.alive() and await part.ready()


def _ending(process: Process) -> str:
    code = process.exit_code()
    return f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
