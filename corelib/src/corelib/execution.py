"""An operation is carried out by one process at a time, and however that ends is written down.

Who carries it out puts off its end every now and then. So one that was killed keeps nobody off for longer than `CLAIM`,
and one that was only thought dead writes nothing more of what somebody else has taken over.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from corelib.clock import Clock
from corelib.errors import Conflict, LeaseLost, UsageError
from corelib.operation import Operation, Operations, Run
from corelib.parking import failure_of
from corelib.part import rest
from corelib.store import CLAIM


class Execution:
    """An operation in this process' hands; `failed` tells what of it did not go well though it came to its end."""

    def __init__(self, operations: Operations, operation: Operation, run: Run, clock: Clock) -> None:
        self.operation = replace(operation, run=run)
        self.failed = ""
        self._operations = operations
        self._run = run
        self._clock = clock
        self._writing = asyncio.Lock()

    async def save(self, progress: Mapping[str, Any]) -> None:
        """Write how far it has come. Raises `LeaseLost` where somebody else has taken it over."""
        self.operation = replace(self.operation, progress=progress)
        await self._write(until=self._clock.now() + CLAIM)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Put off its end during the block."""
        stop = asyncio.Event()
        keeping = asyncio.create_task(self._keep(stop))
        try:
            yield
        finally:
            stop.set()
            await keeping

    async def end(self, failed: str | None) -> None:
        """Write how it ended: well, or with what failed, empty where it was only interrupted."""
        now = self._clock.now()
        if failed is None:
            self.operation = replace(self.operation, ended=now)
        await self._write(until=now, failed=failed or "")

    async def _keep(self, stop: asyncio.Event) -> None:
        while not await rest(stop, CLAIM.total_seconds() / 3):
            with suppress(Exception):  # what is amiss is told by whatever writes next
                await self._write(until=self._clock.now() + CLAIM)

    async def _write(self, **changes: object) -> None:
        async with self._writing:
            self.operation = replace(self.operation, run=self._run.model_copy(update=changes))
            await self._operations.save(self.operation)


@asynccontextmanager
async def executing(
    operations: Operations, operation: Operation, clock: Clock, *, who: str = ""
) -> AsyncIterator[Execution]:
    """Carry an operation out, or go on with it from where it is. Raises `UsageError` where that is not to be done."""
    work = await _taken(operations, operation, clock, who or operation.who)
    try:
        async with work.kept():
            yield work
        await work.end(work.failed or None)
    except BaseException as error:
        with suppress(Exception):  # the first error is the one to tell
            await work.end(failure_of(error).reason if isinstance(error, Exception) else "")
        raise


def require_free(operation: Operation, now: datetime) -> None:
    """Raise `UsageError`, saying what to do, where an operation has ended or somebody carries it out."""
    name, run = f"{operation.kind} {operation.id}", operation.run
    if operation.ended:
        raise UsageError(f"{name} has ended, at {operation.ended.isoformat()}")
    if run and run.until > now:
        raise UsageError(
            f"{name} is carried out by {run.who} since {run.since:%Y-%m-%d %H:%M:%S} (UTC): wait for its end, or stop"
            f" it there. If its process was killed, give this command again after {run.until:%H:%M:%S}"
        )


async def _taken(operations: Operations, operation: Operation, clock: Clock, who: str) -> Execution:
    there, now = await operations.find(operation.id) or operation, clock.now()
    require_free(there, now)
    work = Execution(operations, there, Run(who=who, since=now, until=now + CLAIM), clock)
    try:
        await operations.save(work.operation, over=there.run.id if there.run else None)
    except (LeaseLost, Conflict):  # somebody was faster: who, is there to be read
        return await _taken(operations, operation, clock, who)
    return work
