"""Locks on a live system: waited for a moment, given up so that others pass, tried again."""

from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

import asyncpg
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from corelib.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

_LOCK_WAIT = "2s"
_PATIENCE_SECONDS = 60.0


async def patiently(
    work: Callable[Concatenate[asyncpg.Connection, P], Awaitable[T]],
    connection: asyncpg.Connection,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run `work`, which is one transaction, until it gets its locks.

    Behind a waiting exclusive lock every other statement queues: so it waits two seconds at most, and again later.
    Raises `Unavailable` after a minute; nothing was done then.
    """
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(asyncpg.LockNotAvailableError),
        wait=wait_random_exponential(multiplier=0.1, max=5.0),
        stop=stop_after_delay(_PATIENCE_SECONDS),
        reraise=True,
    )
    await connection.execute(f"SET lock_timeout = '{_LOCK_WAIT}'")
    try:
        return await retrying(work, connection, *args, **kwargs)
    except asyncpg.LockNotAvailableError as error:
        raise Unavailable(
            "postgres",
            f"no lock for {_PATIENCE_SECONDS:.0f} s: another transaction keeps it. Nothing was done; run it again when"
            " that one has ended (`corelib doctor` names long transactions)",
        ) from error
    finally:
        await connection.execute("RESET lock_timeout")
