"""A unit of work on PostgreSQL: the connection's statements, and what corelib writes just before COMMIT."""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import orjson
from aiokafka.partitioner import murmur2

from corelib.batches import batches
from corelib.headers import pack
from corelib.message import Record
from corelib.postgres import queries
from corelib.postgres.inbox import marks_statement, write_key
from corelib.postgres.literals import binary, text
from corelib.postgres.ring import Ring
from corelib.postgres.trouble import Asked
from corelib.transaction import Mark, Origin, Scheduled, Transaction

# PostgreSQL takes a statement of 1 GB; as literals, bytes are two each.
_ROWS, _BYTES = 500, 16 * 1024 * 1024


def headers_of(record: Record) -> str:
    """Return a record's headers as JSON."""
    return orjson.dumps(record.headers).decode()


class PostgresTransaction(Transaction):
    """Statements run at once in the open transaction; events, timers and the mark are written at commit.

    `connection` is for what has no method here: savepoints, cursors, COPY. What these fail with counts as the handler's
    failure, whatever it is: only what the methods here ask is told from what another database was asked.
    """

    def __init__(
        self,
        asked: Asked,
        origin: Origin,
        mark: Mark | None,
        traceparent: str | None,
        *,
        ring: Ring | None,
    ) -> None:
        super().__init__(origin, mark, traceparent)
        self.connection = asked.connection
        self._asked = asked
        self._ring = ring

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Return all rows."""
        with self._asked:
            return await self.connection.fetch(query, *args)

    async def fetchrow(self, query: str, *args: Any) -> asyncpg.Record | None:
        """Return the first row."""
        with self._asked:
            return await self.connection.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: Any) -> Any:
        """Return the first column of the first row."""
        with self._asked:
            return await self.connection.fetchval(query, *args)

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement; return its command tag."""
        with self._asked:
            return await self.connection.execute(query, *args)

    async def executemany(self, query: str, args: Any) -> None:
        """Run a statement once for each set of arguments."""
        with self._asked:
            await self.connection.executemany(query, args)

    async def commit(self) -> None:
        """Write mark, timers and events; the store commits right after. Raises `Duplicate`."""
        if not self.connection.is_in_transaction():
            raise RuntimeError("the handler has ended its transaction itself, by a COMMIT or ROLLBACK of its own")
        last: list[str] = []
        if self.mark is not None and self.mark.made is None:
            await write_key(self.connection, self.mark, self.remembered)
        elif marks := ([self.mark] if self.mark else self.handled):
            last.append(marks_statement(marks, self.remembered))
        for scheduled in self.scheduled:
            await self._write_timer(scheduled)
        if self.cancelled:
            await self.execute(queries.CANCEL_TIMERS, [timer.id for timer in self.cancelled])
        if self.outgoing:
            slot = await self._ring.slot(self.connection) if self._ring else None
            last.append(await self._write_events(self.outgoing, slot))
        self.connection.before_commit(";".join(last))

    async def _write_events(self, records: list[Record], slot: int | None) -> str:
        """Return the last statement, to go with COMMIT; only many events, or large ones, have others before."""
        *first, last = batches(records, lambda record: len(record.payload), most=_ROWS, most_bytes=_BYTES)
        for some in first:
            await self.execute(write_events(some, slot, self.origin.transports))
        return write_events(last, slot, self.origin.transports)

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
            [self.origin.transports.get(record.channel) for record in records],
        )


def write_events(records: Sequence[Record], slot: int | None, transports: Mapping[str, str | None]) -> str:
    """Return the statement that appends records to a table of the outbox, or without one to the log itself.

    `transports` are those of channels; a row of any other is its relay's who knows the channel.
    """
    if slot is None:
        return "SELECT " + ",".join(queries.EMIT_EVENT.format(content=text(_message(record))) for record in records)
    return queries.WRITE_EVENTS[slot] + ",".join(
        f"({murmur2(record.key.encode()) & 0x7FFF_FFFF},{text(record.channel)},{text(record.key)}"
        f",{binary(pack(record.headers))},{binary(record.payload)},{_name(transports.get(record.channel))})"
        for record in records
    )


def _name(transport: str | None) -> str:
    return "NULL" if transport is None else text(transport)


def sql(tx: Transaction) -> PostgresTransaction:
    """Return a handler's transaction as what it is where the store is PostgreSQL. Raises `TypeError` elsewhere."""
    if not isinstance(tx, PostgresTransaction):
        raise TypeError(f"SQL needs a transaction of PostgreSQL, not a {type(tx).__name__}")
    return tx


def _message(record: Record) -> str:
    """Return a record as the content of a logical decoding message: see docs/table-less.md."""
    return orjson.dumps(
        {
            "channel": record.channel,
            "key": record.key,
            "headers": dict(record.headers),
            "payload": record.payload.decode(),
        }
    ).decode()
