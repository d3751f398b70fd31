"""Where the operations of operators are kept on PostgreSQL."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import orjson

from corelib.operation import Operation, Run, lost
from corelib.postgres import operator_queries as queries
from corelib.postgres.pool import Pool


class PostgresOperations:
    """Implements `Operations`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def save(self, operation: Operation, *, over: UUID | None = None) -> None:
        """Write an operation, or how far it has come since. Raises `LeaseLost` where it is another run's."""
        async with self._pool.connection() as connection:
            await save(connection, operation, over)

    async def find(self, id: UUID) -> Operation | None:  # noqa: A002 -- the operation's own word
        """Return one, None where there is none."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(queries.FIND_OPERATION, id)
        return _operation(row) if row else None

    async def list(self) -> Sequence[Operation]:
        """Return all, the latest first."""
        async with self._pool.connection() as connection:
            return [_operation(row) for row in await connection.fetch(queries.LIST_OPERATIONS)]


async def save(connection: asyncpg.Connection, operation: Operation, over: UUID | None = None) -> None:
    """Write an operation in a transaction that does what it says."""
    saved = await connection.fetchval(
        queries.SAVE_OPERATION,
        operation.id,
        operation.kind,
        operation.who,
        operation.reason,
        orjson.dumps(operation.details).decode(),
        operation.began,
        orjson.dumps(operation.progress).decode(),
        operation.ended,
        operation.run and operation.run.model_dump_json(),
        over,
    )
    if not saved:
        raise lost(operation)


def _operation(row: asyncpg.Record) -> Operation:
    return Operation(
        id=UUID(str(row["id"])),
        kind=row["kind"],
        who=row["who"],
        reason=row["reason"],
        details=orjson.loads(row["details"]),
        began=row["began"],
        progress=orjson.loads(row["progress"]),
        ended=row["ended"],
        run=row["run"] and Run.model_validate_json(row["run"]),
    )
