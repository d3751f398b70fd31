"""The log for relays whose broker acknowledges each record by itself, as SQS does."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import asyncpg

from corelib.headers import unpack
from corelib.message import Record
from corelib.postgres.log import Chunk, PostgresLog
from corelib.postgres.pool import Pool
from corelib.store import Pending


class PostgresOutbox(PostgresLog):
    """Implements `OutboxReader`: the position moves to the last record before the first unacknowledged one."""

    def __init__(self, pool: Pool, relay: str, channels: frozenset[str]) -> None:
        super().__init__(pool, relay, channels)
        self._chunk: Chunk | None = None
        self._open: dict[int, None] = {}

    async def read(self, limit: int) -> Sequence[Pending]:  # type: ignore[override]  # records instead of rows
        """Return the next records after the last acknowledged one; empty when idle."""
        self.rewind()
        self._chunk = await super().read(limit)
        if self._chunk is None:
            await self._skip_empty_ticks()
            return []
        rows = cast("Sequence[asyncpg.Record]", self._chunk.rows)
        self._open = dict.fromkeys(row["id"] for row in rows)
        return [
            Pending(
                row["id"],
                Record(row["channel"], row["key"], unpack(row["headers"]), row["payload"]),
                row["written"],
            )
            for row in rows
        ]

    async def acknowledge(self, records: Sequence[Pending]) -> None:
        """Record that these reached their channel. Raises `LeaseLost` if another relay has taken over."""
        if self._chunk is None:
            return
        for record in records:
            del self._open[record.position]  # type: ignore[arg-type]  # ours, see read
        first_open = next(iter(self._open), None)
        after = self._chunk.after
        await self.commit(after if first_open is None else replace(after, id=first_open - 1))

    async def _skip_empty_ticks(self) -> None:
        """An empty tick is delivered as it is; in memory is enough, since reading it again costs nothing."""
        self._committed = self._read
