"""A new beginning for the outbox of a restored database: what its cursors do not cover is sent again.

A dump loaded into another cluster carries transaction numbers that mean nothing there, so its rows are written anew:
those that a cursor covers as history, the others as if they were published now. A row's own `xmin` tells whether it
was written here: such rows came after the restore, whatever the old cursors say. A cluster that was set back is
consistent in itself; there the receipts that brokers hold are void, and nothing is rewritten.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import asyncpg

from corelib.operation import Operation
from corelib.postgres import operations
from corelib.postgres import operator_queries as queries
from corelib.postgres.patience import patiently
from corelib.postgres.pool import Pool

_LONG_SECONDS = 3_600.0  # a ring may hold what a fortnight left behind


@dataclass(frozen=True)
class Era:
    """What a new era does, or did: rows that are sent (again), rows kept as sent; `moved` if it is another cluster."""

    number: int
    moved: bool
    waiting: int
    kept: int


class _DryRun(Exception):
    """Rolls back what was only tried."""

    def __init__(self, era: Era) -> None:
        self.era = era


class Eras:
    """Begins eras. `relays` names the relays and the channels of each."""

    def __init__(self, pool: Pool, relays: Mapping[str, frozenset[str]]) -> None:
        self._pool = pool
        self._routes = [(channel, relay) for relay, channels in relays.items() for channel in sorted(channels)]

    async def plan(self) -> Era:
        """Return what `begin` would do; changes nothing."""
        try:
            async with self._pool.connection() as connection:
                await patiently(self._begin, connection, None)
        except _DryRun as tried:
            return tried.era
        raise AssertionError("a dry run always ends by its exception")

    async def begin(self, operation: Operation) -> Era:
        """Begin a new era and write the operation down, in one transaction. Raises `Unavailable`."""
        async with self._pool.connection() as connection:
            return await patiently(self._begin, connection, operation)

    async def _begin(self, connection: asyncpg.Connection, operation: Operation | None) -> Era:
        async with connection.transaction():
            if operation is not None:
                await connection.execute(queries.LOCK_OUTBOX)
            number, slot, moved = (await connection.fetch(queries.NEXT_ERA))[0]
            channels, relays = zip(*self._routes, strict=True) if self._routes else ((), ())
            await connection.execute(queries.MOVED_ROWS, timeout=_LONG_SECONDS)
            await connection.execute(queries.COLLECT_ROWS, list(channels), list(relays), timeout=_LONG_SECONDS)
            waiting, kept = (await connection.fetch(queries.COUNT_ROWS, timeout=_LONG_SECONDS))[0]
            era = Era(number, moved, waiting, kept)
            if operation is None:
                raise _DryRun(era)
            if moved:
                await connection.execute(queries.REWRITE_ROWS[slot], timeout=_LONG_SECONDS)
            await connection.execute(queries.NEW_ERA, number)
            details = {"era": number, "moved": moved, "waiting": waiting, "kept": kept}
            await operations.save(connection, replace(operation, progress=details, ended=operation.began))
        return era
