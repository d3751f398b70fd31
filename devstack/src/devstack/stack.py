"""The whole stack as one object: start, watch, kill, restart, stop."""

import asyncio
import shutil
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table

from devstack.errors import DevstackError
from devstack.part import Part
from devstack.plan import plan
from devstack.postgres import data_outside
from devstack.process import Process
from devstack.progress import Progress
from devstack.settings import StackSettings
from devstack.starting import Starter
from devstack.state import Entry, State, locked
from devstack.terraform import apply, refuse_other_stores

_WATCH_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0


class Stack:
    """All parts of one home. Parts outlive this object: another one with the same home finds them again."""

    def __init__(self, settings: StackSettings, *, console: Console | None = None) -> None:
        self.settings = settings
        self.logs = settings.home / "logs"
        self._state = State(settings.home)
        self._progress = Progress(console or Console(stderr=True))
        self._starter = Starter(self._state, self.logs, self._progress.tell)
        self._parts: dict[str, Part] = {}
        self._stopped: set[str] = set()
        self._watch: asyncio.Task[None] | None = None

    async def up(self, only: Collection[str] = ()) -> bool:
        """Start what does not run yet, all parts or only those named; return false if everything ran already.

        If a part fails, or the start is cancelled, everything is stopped again.
        """
        if self.settings.iac and not only:
            refuse_other_stores(self.settings)
            await self._start(["aws"])
            await self._terraform()
        return await self._start(only)

    async def _terraform(self) -> None:
        """Let Terraform make what there is of AWS; services are told its outputs."""
        began = time.monotonic()
        with self._progress:
            self._progress.tell("terraform", "applying")
            try:
                await apply(self.settings)
            except BaseException:
                await self.down()
                raise
            self._progress.tell("terraform", f"ready after {time.monotonic() - began:.1f} s")

    async def _start(self, only: Collection[str] = ()) -> bool:
        await asyncio.to_thread(self._make_home)
        async with locked(self.settings.home / "up.lock"):
            self._parts = {part.name: part for part in plan(self.settings, only)}
            running = await self._running()
            if running >= self._parts.keys():
                return False
            self._stopped.clear()
            try:
                with self._progress:
                    await self._starter.start_all(list(self._parts.values()), running)
            except BaseException:
                await self.down()
                raise
        return True

    async def down(self) -> None:
        """Stop every part that runs, each after those that depend on it; a second Ctrl-C does not cut it short."""
        stopping = asyncio.ensure_future(self._down())
        cancelled = False
        while not stopping.done():
            try:
                await asyncio.shield(stopping)
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError
        stopping.result()

    async def _down(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        entries = self._state.load()
        parts = {part.name: part for part in plan(self.settings, strict=False)}
        gone = {name: asyncio.Event() for name in entries}
        async with asyncio.TaskGroup() as group:
            for name in entries:
                waits = [gone[part.name] for part in parts.values() if name in part.after and part.name in gone]
                group.create_task(self._stop_in_order(name, parts.get(name), waits, gone[name]))

    async def reset(self) -> None:
        """Stop everything and delete data, logs and secrets."""
        await self.down()
        for folder in (self.settings.home, data_outside(self.settings.home)):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def supervise(self) -> None:
        """From now on start dead services again, in the background, until `down`."""
        if self._watch is None:
            self._watch = asyncio.create_task(self._restart_the_dead())

    def kill(self, part: str, number: int = signal.SIGKILL) -> bool:
        """Send a signal to a part's process; tell whether it was running. After SIGKILL it is gone."""
        process = self._process(part)
        if process is None or not process.send(number):
            return False
        if number == signal.SIGKILL and process.child is not None:
            process.child.wait()
        return True

    async def crash(self, part: str) -> None:
        """Kill a part's process and all its children at once."""
        process = self._process(part)
        if process is not None:
            await process.crash()

    async def restart(self, part: str) -> None:
        """Stop a part and start it again; raise `PartDied` if it does not get ready."""
        self._stopped.add(part)
        process = self._process(part)
        if process is not None:
            await process.stop(self._parts[part].stop_signal, self._parts[part].grace_seconds)
        await self._starter.start(self._parts[part])
        self._stopped.discard(part)

    async def healthy(self, part: str, *, deadline_seconds: float = 60.0) -> None:
        """Wait until a part's process lives and serves; raise `TimeoutError`."""
        deadline = time.monotonic() + deadline_seconds
        while not await self.is_healthy(part):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{part} was not healthy within {deadline_seconds:.0f} s")
            await asyncio.sleep(_WATCH_SECONDS)

    async def is_healthy(self, part: str) -> bool:
        """Tell whether a part's process lives and serves."""
        described, process = self._described().get(part), self._process(part)
        if described is None or described.is_step:
            return part in self._state.load()
        return described.ready is not None and process is not None and process.alive() and await described.ready()

    def table(self) -> Table:
        """Return what runs and where, as a table."""
        table = Table("part", "pid", "address", title="Souk")
        for name, entry in self._state.load().items():
            if entry.url:
                table.add_row(name, str(entry.pid), entry.url)
        return table

    async def status(self) -> Table:
        """Return every part with its process and health, as a table."""
        parts = self._described()
        entries = self._state.load()
        healths = await asyncio.gather(*(self.is_healthy(name) for name in parts))
        table = Table("part", "pid", "health", "address", title="Souk")
        for (name, part), healthy in zip(parts.items(), healths, strict=True):
            if part.is_step:
                continue
            entry = entries.get(name)
            alive = entry is not None and entry.process.alive()
            health = "[green]healthy[/]" if healthy else "[yellow]not ready[/]" if alive else "[red]not running[/]"
            table.add_row(name, str(entry.pid) if entry and alive else "", health, part.url)
        table.caption = f"logs in {self.logs}"
        return table

    async def _running(self) -> frozenset[str]:
        """Return the parts that need no start; what runs but does not answer is stopped first."""
        names = set()
        for name, entry in self._state.load().items():
            part = self._parts.get(name)
            if part is None:
                continue
            if part.is_step:
                continue
            if entry.process.alive() and entry.ports != dict(part.ports):
                raise DevstackError(
                    f"{name} already runs on other ports ({entry.ports}): stop it first, with the down command."
                )
            if await self.is_healthy(name):
                names.add(name)
            else:
                await self._stop(name, part)
        if names >= {name for name, part in self._parts.items() if not part.is_step}:
            names |= self._parts.keys() & self._state.load().keys()
        return frozenset(names)

    async def _stop_in_order(
        self, name: str, part: Part | None, dependents: list[asyncio.Event], gone: asyncio.Event
    ) -> None:
        for event in dependents:
            await event.wait()
        await self._stop(name, part)
        gone.set()

    async def _stop(self, name: str, part: Part | None) -> None:
        self._stopped.add(name)
        process = self._process(name)
        if process is not None:
            await self._farewell(part, process)
            await process.stop(part.stop_signal if part else signal.SIGTERM, part.grace_seconds if part else 15.0)
        self._starter.children.pop(name, None)
        self._state.drop(name)

    async def _farewell(self, part: Part | None, process: Process) -> None:
        if part is None or part.farewell is None or not process.alive():
            return
        try:
            await part.farewell()
        except (OSError, aiohttp.ClientError) as error:
            # A part that hangs must still be stopped.
            self._progress.warn(part.name, f"what it held could not be saved: {error!r}")

    async def _restart_the_dead(self) -> None:
        pauses: dict[str, float] = {}
        due: dict[str, float] = {}
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            for name, part in self._parts.items():
                process = self._process(name)
                if not part.supervised or name in self._stopped or (process is not None and process.alive()):
                    continue
                if time.monotonic() < due.get(name, 0.0):
                    continue
                if process is not None:
                    await process.stop(
                        part.stop_signal, part.grace_seconds
                    )  # what a dead parent left behind holds the port
                pauses[name] = min(pauses.get(name, 0.1) * 2, _LONGEST_PAUSE_SECONDS)
                due[name] = time.monotonic() + pauses[name]
                self._starter.launch(part)

    def _described(self) -> dict[str, Part]:
        return self._parts or {part.name: part for part in plan(self.settings, strict=False)}

    def _process(self, name: str) -> Process | None:
        if name in self._starter.children:
            return self._starter.children[name]
        entry: Entry | None = self._state.load().get(name)
        return entry.process if entry else None

    def _make_home(self) -> None:
        for folder in (self.settings.home, self.settings.home / "data", self.logs):
            with suppress(FileExistsError):
                folder.mkdir(parents=True)
                # Whatever our umask: PostgreSQL may run as another user and must pass through here.
                Path(folder).chmod(0o755)
