"""Keyed mailboxes: work of equal key runs one after another, of different keys at the same time, bounded and fair."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from corelib.cancellation import own_cancellation_only

CAPACITY = 8_000

T = TypeVar("T")


class Turn(NamedTuple):
    """What a key's turn came to: so many pieces are done; where `pause` is given, the next is tried again after it."""

    done: int
    pause: float | None = None


class Mailboxes(Generic[T]):
    """Does `work` on what is submitted, with so many workers.

    A key's turn is the first pieces that wait in its lane, `together` of them at most, so that a long lane keeps nobody
    from running; work says how many it has done. A pause is in seconds: the key waits, its worker does not. `capacity`
    bounds all that is accepted and not done. An exception of work is kept and raised by the next `submit` or `drain`:
    nobody else would hear it.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T]], Awaitable[Turn]],
        *,
        concurrency: int = 64,
        capacity: int = CAPACITY,
        together: int = 1,
    ) -> None:
        self._work = work
        self._together = together
        self._capacity = capacity
        self._lanes: dict[str, deque[T]] = {}
        self._ready: deque[str] = deque()
        self._accepted = 0
        self._idle: deque[asyncio.Future[None]] = deque()
        self._changed: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._stopped = False
        self._workers = [asyncio.create_task(self._serve()) for _ in range(concurrency)]

    @property
    def keys(self) -> int:
        """How many keys have work in hand."""
        return len(self._lanes)

    async def submit(self, key: str, item: T) -> None:
        """Put work into a key's mailbox; waits while all mailboxes together are full. Once stopped, forgets it."""
        while self._accepted >= self._capacity or self._failure is not None:
            self._raise_failure()
            if self._stopped:
                return
            await self._change()
        self._accepted += 1
        lane = self._lanes.get(key)
        if lane is not None:
            lane.append(item)
            return
        self._lanes[key] = deque((item,))
        self._make_ready(key)

    def stop(self) -> None:
        """Begin nothing more, and let nobody wait for room."""
        self._stopped = True
        self._tell()
        while self._idle:
            self._wake_one()

    async def drain(self) -> None:
        """Stop, and return when all that is at work is done; what waits is forgotten."""
        self.stop()
        await asyncio.gather(*self._workers)
        self._raise_failure()

    async def cancel(self) -> None:
        """Stop all work where it stands: its transactions roll back, its records are delivered again."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._lanes.clear()

    async def _serve(self) -> None:
        while not self._stopped:
            if not self._ready:
                idle = asyncio.get_running_loop().create_future()
                self._idle.append(idle)
                await idle
                continue
            key = self._ready.popleft()
            try:
                with own_cancellation_only:
                    turn = await self._work(list(islice(self._lanes[key], self._together)))
            except Exception as error:  # noqa: BLE001 -- kept for the submitter, see the class
                self._failure = self._failure or error
                self._tell()
                return
            self._after(key, turn)

    def _after(self, key: str, turn: Turn) -> None:
        lane = self._lanes[key]
        for _ in range(turn.done):
            lane.popleft()
        self._accepted -= turn.done
        self._tell()
        if turn.pause is not None:
            asyncio.get_running_loop().call_later(turn.pause, self._make_ready, key)
        elif lane:
            self._make_ready(key)
        else:
            del self._lanes[key]

    def _make_ready(self, key: str) -> None:
        if key not in self._lanes:
            return  # cancelled while it waited
        self._ready.append(key)
        self._wake_one()

    def _wake_one(self) -> None:
        while self._idle:
            idle = self._idle.popleft()
            if not idle.done():
                idle.set_result(None)
                return

    def _change(self) -> asyncio.Future[None]:
        """Return what is done at the next piece of work done or failed."""
        if self._changed is None or self._changed.done():
            self._changed = asyncio.get_running_loop().create_future()
        return self._changed

    def _tell(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
