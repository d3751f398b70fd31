"""Where poison is kept on PostgreSQL."""

from collections.abc import Sequence
from hashlib import sha256

import orjson

from corelib.message import Record
from corelib.postgres import queries
from corelib.postgres.pool import Pool
from corelib.postgres.transaction import headers_of
from corelib.store import Parked


class PostgresParking:
    """Implements `ParkingLot`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keys(self, handler: str) -> frozenset[str]:
        """Return the keys that are parked for a handler."""
        async with self._pool.connection() as connection:
            return frozenset(row["key"] for row in await connection.fetch(queries.PARKED_KEYS, handler))

    async def park(self, handler: str, record: Record, *, reason: str, attempts: int) -> None:
        """Append a record to its key's queue; an event that is there already stays as it is."""
        event_id = record.header("ce_id") or f"{record.channel}/{sha256(record.payload).hexdigest()}"
        # PostgreSQL's text has no NUL; a malformed record may.
        async with self._pool.connection() as connection:
            await connection.execute(
                queries.PARK,
                handler,
                event_id,
                record.channel,
                record.key.replace("\0", "\ufffd"),
                headers_of(record),
                record.payload,
                reason.replace("\0", "\ufffd"),
                attempts,
            )

    async def list(self, handler: str | None = None) -> Sequence[Parked]:
        """Return all that is parked, oldest first."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(queries.LIST_PARKED, handler)
        return [
            Parked(
                id=str(row["id"]),
                handler=row["handler"],
                record=Record(
                    row["channel"],
                    row["key"],
                    tuple((name, value) for name, value in orjson.loads(row["headers"])),
                    row["payload"],
                ),
                reason=row["reason"],
                attempts=row["attempts"],
                parked=row["parked"],
            )
            for row in rows
        ]

    async def remove(self, parked: Parked) -> None:
        """Take one record out."""
        async with self._pool.connection() as connection:
            await connection.execute(queries.UNPARK, int(parked.id))
