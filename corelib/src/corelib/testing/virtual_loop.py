"""An asyncio event loop without a clock and without I/O: time jumps to the next timer, and a seed draws what runs next.

Whatever order the loop may choose, correct code has to bear: of all callbacks that are ready any one may be first. The
same seed makes the same choices.
"""

import asyncio
import contextvars
import heapq
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from itertools import count
from random import Random
from typing import Any, Protocol, TypeVar, cast

T = TypeVar("T")
Callback = Callable[..., object]


class Frame(Protocol):
    """A process of the simulation: what runs on the loop in its context stops while it is frozen."""

    frozen: bool
    held: "list[_Handle]"
    tasks: "dict[asyncio.Task[Any], None]"


FRAME: ContextVar[Frame | None] = ContextVar("frame", default=None)
"""The process that the present code belongs to."""


class Stuck(RuntimeError):
    """Raised when nothing is ready and no timer is set: what is awaited can never come."""


class _Handle:
    """A callback that is ready, or waits for its time; asyncio's own keeps more than is needed here."""

    __slots__ = ("args", "callback", "context", "gone", "time")

    def __init__(self, time: float, callback: Callback, args: tuple[Any, ...], context: Context) -> None:
        self.time = time
        self.callback = callback
        self.args = args
        self.context = context
        self.gone = False

    def cancel(self) -> None:
        """Never call it."""
        self.gone = True

    def cancelled(self) -> bool:
        """Tell whether it will never be called."""
        return self.gone

    def when(self) -> float:
        """Return its time."""
        return self.time


class _Task(asyncio.Task[Any]):
    """A task whose hash does not depend on where it lies in memory: sets of tasks have one order."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class VirtualLoop:
    """Runs one coroutine and all that it starts. It has what asyncio asks of a loop where nothing is real."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 -- to be repeated, not to be secret
        self.steps = 0
        self._draw = self.random.random
        self._now = 0.0
        self._ready: list[_Handle] = []
        self._timers: list[tuple[float, int, _Handle]] = []
        self._numbers = count(1)
        self._at_step: list[tuple[int, int, Callable[[], None]]] = []

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run to the end of `main`; return its result. Raises `Stuck`."""
        asyncio._set_running_loop(_as_loop(self))  # noqa: SLF001 -- documented for those who write loops
        try:
            task = self.create_task(main)
            while not task.done():
                self._step()
            for other in asyncio.all_tasks(_as_loop(self)):
                other.cancel()
            while self._ready:
                self._step()
            return task.result()
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001 -- as above

    def after_steps(self, steps: int, callback: Callable[[], None]) -> None:
        """Call something between two steps: no await of anyone is out of its reach."""
        heapq.heappush(self._at_step, (self.steps + steps, next(self._numbers), callback))

    def thaw(self, frame: Frame) -> None:
        """Let a frozen process go on."""
        frame.frozen = False
        self._ready += frame.held
        frame.held.clear()

    def _step(self) -> None:
        self.steps += 1
        while self._at_step and self._at_step[0][0] <= self.steps:
            heapq.heappop(self._at_step)[2]()
        if not self._ready:
            self._pass_time()
        ready = self._ready
        chosen = int(self._draw() * len(ready))
        handle = ready[chosen]
        ready[chosen] = ready[-1]
        ready.pop()
        if handle.gone:
            return
        frame = handle.context.get(FRAME)
        if frame is not None and frame.frozen:
            frame.held.append(handle)
            return
        handle.context.run(handle.callback, *handle.args)

    def _pass_time(self) -> None:
        timers = self._timers
        while timers and timers[0][2].gone:
            heapq.heappop(timers)
        if not timers:
            raise Stuck("nothing is ready, no timer is set")
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            handle = heapq.heappop(timers)[2]
            if not handle.gone:
                self._ready.append(handle)

    # -- what asyncio asks of a loop --

    def time(self) -> float:
        """Return the virtual time, in seconds from the start."""
        return self._now

    def call_soon(self, callback: Callback, *args: Any, context: Context | None = None) -> _Handle:
        """Make a callback ready."""
        handle = _Handle(self._now, callback, args, context or contextvars.copy_context())
        self._ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Callback, *args: Any, context: Context | None = None) -> _Handle:
        """Make a callback ready at a time."""
        handle = _Handle(when, callback, args, context or contextvars.copy_context())
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def call_later(self, delay: float, callback: Callback, *args: Any, context: Context | None = None) -> _Handle:
        """Make a callback ready in so many seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=_as_loop(self))

    def create_task(
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        """Return a task that belongs to the process which starts it."""
        number = next(self._numbers)
        _Task.number = number  # needed while asyncio registers it
        task = _Task(coro, loop=_as_loop(self), name=name or f"task-{number}", context=context)
        task.number = number
        frame = FRAME.get() if context is None else context.get(FRAME)
        if frame is not None:
            frame.tasks[task] = None
            task.add_done_callback(lambda done: frame.tasks.pop(done, None))
        return task

    def get_debug(self) -> bool:
        """Return False: a schedule is judged by its outcome."""
        return False

    def is_running(self) -> bool:
        """Return True: it is asked from within only."""
        return True

    def is_closed(self) -> bool:
        """Return False: there is nothing to close."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Pass over what nobody took care of: killed processes leave a lot of it."""


def _as_loop(loop: VirtualLoop) -> asyncio.AbstractEventLoop:
    return cast("asyncio.AbstractEventLoop", loop)
