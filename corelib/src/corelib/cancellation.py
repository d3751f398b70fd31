"""Tells a task's own cancellation from that of something it waited for, which asyncio raises as the same error."""

import asyncio
from types import TracebackType

from corelib.errors import Abandoned


class _OwnOnly:
    """Around code that is not ours: `with own_cancellation_only:`."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Nothing is to be done before."""

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """Raise `Abandoned` for a cancellation that nobody asked this task for: it ends the work, not the task."""
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                raise Abandoned("what was waited for was cancelled by somebody else") from error


own_cancellation_only = _OwnOnly()
