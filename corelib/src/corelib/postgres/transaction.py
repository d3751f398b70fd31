"""A unit of work on PostgreSQL: the connection's statements, and what corelib writes just before COMMIT."""

from typing import Any

import asyncpg
import orjson
from aiokafka.partitioner import murmur2

from corelib.headers import pack
from corelib.message import Record
from corelib.postgres import queries
from corelib.postgres.inbox import write_mark
from corelib.postgres.ring import Ring
from corelib.transaction import Mark, Origin, Scheduled, Transaction


def headers_of(record: Record) -> str:
    """Return a record's headers as JSON."""
    return orjson.dumps(record.headers).decode()


class PostgresTransaction(Transaction):
    """Statements run at once in the open transaction; events, timers and the mark are written at commit."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        origin: Origin,
        mark: Mark | None,
        traceparent: str | None,
        *,
        ring: Ring,
    ) -> None:
        super().__init__(origin, mark, traceparent)
        self.connection = connection
        self._ring = ring

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Return all rows."""
        return await self.connection.fetch(query, *args)

    async def fetchrow(self, query: str, *args: Any) -> asyncpg.Record | None:
        """Return the first row."""
        return await self.connection.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: Any) -> Any:
        """Return the first column of the first row."""
        return await self.connection.fetchval(query, *args)

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement; return its command tag."""
        return await self.connection.execute(query, *args)

    async def executemany(self, query: str, args: Any) -> None:
        """Run a statement once for each set of arguments."""
        await self.connection.executemany(query, args)

    async def commit(self) -> None:
        """Write mark, timers and events; the store commits right after. Raises `Duplicate`."""
        if self.mark is not None:
            await write_mark(self.connection, self.mark, self.remembered)
        for scheduled in self.scheduled:
            await self._write_timer(scheduled)
        if self.cancelled:
            await self.execute(queries.CANCEL_TIMERS, [timer.id for timer in self.cancelled])
        if self.outgoing:
            await write_events(self.connection, self.outgoing, await self._ring.slot(self.connection))

    async def _write_timer(self, scheduled: Scheduled) -> None:
        records = scheduled.records
        await self.execute(
            queries.WRITE_TIMER,
            scheduled.timer.id,
            scheduled.at,
            [record.channel for record in records],
            [record.key for record in records],
            [headers_of(record) for record in records],
            [record.payload for record in records],
        )


async def write_events(connection: asyncpg.Connection, records: list[Record], slot: int) -> None:
    """Append records to a table of the outbox in one statement."""
    await connection.execute(
        queries.WRITE_EVENTS[slot],
        [murmur2(record.key.encode()) & 0x7FFF_FFFF for record in records],
        [record.channel for record in records],
        [record.key for record in records],
        [pack(record.headers) for record in records],
        [record.payload for record in records],
    )
