"""Where poison is kept on PostgreSQL."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg
import orjson

from corelib.message import Record
from corelib.parking import parked_as, time_of
from corelib.postgres import inbox_queries as queries
from corelib.postgres.pool import Pool
from corelib.postgres.transaction import headers_of
from corelib.store import Failure, Parked, Queue, Queued

_WAITS = Failure("waits behind a parked event of its key")


class PostgresParking:
    """Implements `ParkingLot`. Whoever changes a queue holds its lock until commit, and reads it after that."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keys(self) -> frozenset[tuple[str, str]]:
        """Return every handler and key that is parked."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(queries.PARKED_KEYS)
        return frozenset((row["handler"], row["key"]) for row in rows)

    async def park(self, handler: str, record: Record, failure: Failure, *, attempts: int) -> None:
        """Append a record to its key's queue, begun where there is none."""
        async with self._locked(handler, _text(record.key)) as connection:
            await _insert(connection, handler, [record], failure, attempts)

    async def append(self, handler: str, *records: Record) -> int:
        """Let records of one key wait at the end of its queue: all of them, or none where there is no queue."""
        key = _text(records[0].key)
        async with self._locked(handler, key) as connection:
            if not await connection.fetchval(queries.IS_PARKED, handler, key):
                return 0
            await _insert(connection, handler, records, _WAITS, 0)
            return len(records)

    @asynccontextmanager
    async def claimed(self, handler: str, key: str) -> AsyncIterator[bool]:
        """Keep others from sending what waits in a queue; gives False where somebody else does."""
        async with self._pool.connection() as connection, connection.transaction():
            mine: bool = await connection.fetchval(queries.CLAIM_PARKED, handler, _text(key))
            yield mine

    async def failed(self, parked: Parked, failure: Failure) -> None:
        """Note one more attempt of a parked record that failed."""
        async with self._pool.connection() as connection:
            await connection.execute(
                queries.PARKED_FAILED, int(parked.id), _text(failure.reason), _text(failure.traceback)
            )

    async def remove(self, *parked: Parked) -> None:
        """Take records of one queue out."""
        async with self._locked(parked[0].handler, parked[0].record.key) as connection:
            await connection.execute(queries.UNPARK, [int(each.id) for each in parked])

    async def queues(self) -> Sequence[Queue]:
        """Return what is parked by handler and key, in the order of their first records; no body is read."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(queries.LIST_QUEUES)
        return [
            Queue(
                handler=row["handler"],
                key=row["key"],
                records=row["records"],
                since=row["parked"],
                reason=row["reason"],
                time=time_of(orjson.loads(row["headers"])),
            )
            for row in rows
        ]

    async def sizes(self) -> Mapping[str, Queued]:
        """Return how much is parked, by handler."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(queries.PARKED_SIZES)
        return {row["handler"]: Queued(row["records"], row["oldest"]) for row in rows}

    @asynccontextmanager
    async def _locked(self, handler: str, key: str) -> AsyncIterator[asyncpg.Connection]:
        # Whatever the database's default is: what is read behind the lock must not be of a snapshot from before it.
        async with self._pool.connection() as connection, connection.transaction(isolation="read_committed"):
            await connection.execute(queries.LOCK_PARKED, handler, key)
            yield connection

    # Last, as its name hides the built-in one from the rest of the class.
    async def list(
        self, handler: str | None = None, key: str | None = None, *, limit: int | None = None, after: int = 0
    ) -> Sequence[Parked]:
        """Return what is parked, in order: all of it, of a handler, or of a handler's key; so many behind that `id`."""
        async with self._pool.connection() as connection:
            if handler is None or key is None:
                rows = await connection.fetch(queries.LIST_PARKED, handler, limit, after)
            else:
                rows = await connection.fetch(queries.LIST_QUEUE, handler, _text(key), limit, after)
        return [_parked(row) for row in rows]


async def _insert(
    connection: asyncpg.Connection, handler: str, records: Sequence[Record], failure: Failure, attempts: int
) -> None:
    rows = [
        (
            handler,
            _text(parked_as(handler, record)),
            record.channel,
            _text(record.key),
            headers_of(record),
            record.payload,
            _text(failure.reason),
            _text(failure.traceback),
            attempts,
        )
        for record in records
    ]
    await connection.executemany(queries.PARK, rows)


def _text(text: str) -> str:
    """PostgreSQL's text has no NUL; a malformed record may."""
    return text.replace("\0", "\ufffd")


def _parked(row: asyncpg.Record) -> Parked:
    headers = tuple((name, value) for name, value in orjson.loads(row["headers"]))
    return Parked(
        id=str(row["id"]),
        handler=row["handler"],
        record=Record(row["channel"], row["key"], headers, row["payload"]),
        reason=row["reason"],
        traceback=row["traceback"],
        attempts=row["attempts"],
        parked=row["parked"],
    )
