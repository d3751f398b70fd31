"""Keyed mailboxes: work of equal key runs one after another, of different keys at the same time, bounded."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from corelib.metrics import MAILBOXES

Work = Callable[[], Awaitable[None]]


class Mailboxes:
    """Runs submitted work. `concurrency` bounds keys at work, `capacity` bounds all that is accepted but not done.

    An exception of a piece of work is kept and raised by the next `submit` or `drain`: nobody else would hear it.
    """

    def __init__(self, *, concurrency: int = 64, capacity: int = 1_000) -> None:
        self._running = asyncio.Semaphore(concurrency)
        self._free = asyncio.Semaphore(capacity)
        self._lanes: dict[str, deque[Work]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    async def submit(self, key: str, work: Work) -> None:
        """Put work into a key's mailbox; waits while all mailboxes together are full."""
        self._raise_failure()
        await self._free.acquire()
        lane = self._lanes.get(key)
        if lane is not None:
            lane.append(work)
            return
        self._lanes[key] = deque([work])
        MAILBOXES.set(len(self._lanes))
        task = asyncio.create_task(self._run(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Return when everything submitted is done."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._raise_failure()

    async def cancel(self) -> None:
        """Stop all work where it stands: its transactions roll back, its records are delivered again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, key: str) -> None:
        lane = self._lanes[key]
        try:
            while lane:
                # One piece a turn: a long lane must not keep other keys from running.
                async with self._running:
                    await lane[0]()
                lane.popleft()
                self._free.release()
        except BaseException as error:  # noqa: BLE001 -- kept for the submitter, see the class
            self._failure = self._failure or error
        finally:
            for _ in lane:
                self._free.release()
            del self._lanes[key]
            MAILBOXES.set(len(self._lanes))

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
