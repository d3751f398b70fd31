"""What a database's outbox ring still has of what was delivered."""

from collections.abc import AsyncIterator

import asyncpg

from corelib.headers import pack, unpack
from corelib.history import Page, Past, Place, Selection
from corelib.message import Record
from corelib.postgres import operator_queries as queries
from corelib.postgres.pool import Pool

_PAGE = 500
_WINDOW = 50_000


class PostgresHistory:
    """Implements `History` for what one relay has delivered; what still waits for it is not sent before its turn."""

    def __init__(self, pool: Pool, relay: str) -> None:
        self._pool = pool
        self._relay = relay

    async def pages(self, selection: Selection, after: Place | None = None) -> AsyncIterator[Page]:
        """Yield pages in order of ids, which is the order of commits per key."""
        async with self._pool.connection() as connection:
            ((first, last),) = await connection.fetch(queries.HISTORY_BOUNDS)
        at = max(first - 1, after["id"] if after else 0)
        while at < last:
            rows = await self._rows(selection, at)
            at = rows[-1]["id"] if len(rows) == _PAGE else min(at + _WINDOW, last)
            yield Page([past for past in map(_past, rows) if selection.wants(past)], {"id": at})

    async def _rows(self, selection: Selection, after: int) -> list[asyncpg.Record]:
        async with self._pool.connection() as connection:
            return await connection.fetch(
                queries.HISTORY,
                self._relay,
                after,
                after + _WINDOW,
                sorted(selection.channels),
                selection.since,
                selection.until,
                sorted(selection.keys) or None,
                [_needle("ce_type", kind) for kind in sorted(selection.types)] or None,
                [trace.encode() for trace in sorted(selection.traces)] or None,
                _PAGE,
            )


def _past(row: asyncpg.Record) -> Past:
    return Past(Record(row["channel"], row["key"], unpack(row["headers"]), row["payload"]), row["written"])


def _needle(name: str, value: str) -> bytes:
    """Return a header as it stands among packed ones: behind their number."""
    return pack([(name, value)])[1:]
