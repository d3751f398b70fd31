"""Runs a piece of work as one transaction, again on conflict, and never twice for one mark."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from corelib.errors import Conflict, Duplicate
from corelib.retry import retried
from corelib.store import Store
from corelib.transaction import Mark, Transaction

T = TypeVar("T")


async def run_once(
    store: Store,
    work: Callable[[Transaction], Awaitable[T]],
    *,
    mark: Mark | None = None,
    traceparent: str | None = None,
    attempts: int = 8,
) -> T:
    """Return what `work` returned, committed.

    Raises `Duplicate` when the mark was committed before, also where a repetition made `work` itself fail; `Conflict`
    when every attempt lost against another transaction; whatever else `work` or the store raises.
    """

    def retrying() -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception_type(Conflict),
            wait=wait_random_exponential(multiplier=0.01, max=1.0),
            stop=stop_after_attempt(attempts),
            reraise=True,
        )

    try:
        return await retried(retrying, _attempt, store, work, mark, traceparent)
    except Duplicate:
        raise
    except Exception:
        await _raise_if_done(store, mark)
        raise


async def _attempt(
    store: Store, work: Callable[[Transaction], Awaitable[T]], mark: Mark | None, traceparent: str | None
) -> T:
    async with store.transaction(mark=mark, traceparent=traceparent) as tx:
        return await work(tx)


async def _raise_if_done(store: Store, mark: Mark | None) -> None:
    if mark is None:
        return
    done, remembered = await store.recall(mark)
    if done:
        raise Duplicate(mark.scope, mark.id, remembered)
