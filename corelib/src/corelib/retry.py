"""Retries that cost nothing until something fails."""

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from tenacity import AsyncRetrying, RetryCallState
from tenacity.wait import wait_base

P = ParamSpec("P")
T = TypeVar("T")


async def retried(
    retrying: Callable[[], AsyncRetrying], function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Call; if that fails, go on as `retrying` says, with the failure as its first attempt.

    tenacity's machinery takes 20 µs a call, and almost every call succeeds at once.
    """
    try:
        return await function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 -- handed to tenacity below, which judges it
        failures = [error]

    async def again() -> T:
        if failures:
            raise failures.pop()
        return await function(*args, **kwargs)

    return await retrying()(again)


def pause_of(wait: wait_base, attempt: int) -> float:
    """Return the seconds to wait after so many failed attempts, for who keeps count himself."""
    state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]  # only the attempt number is read
    state.attempt_number = attempt
    return wait(state)
