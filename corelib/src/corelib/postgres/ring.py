"""The ring of outbox tables: which one is written to, and when the oldest is emptied for its next turn."""

import asyncio
import time
from datetime import timedelta

import asyncpg
import structlog

from corelib.errors import Conflict, Unavailable
from corelib.part import rest
from corelib.postgres import queries
from corelib.postgres.pool import Pool

_LOOK_SECONDS = 1.0

_TURN_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Ring:
    """Tells writers their table. A writer that knows an old one does no harm: every table is read.

    A table is emptied by TRUNCATE only, under a lock that no writer holds, once every relay is past all of it and its
    youngest row is older than the time kept for replay.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._slot = 0
        self._look_at = 0.0

    async def slot(self, connection: asyncpg.Connection) -> int:
        """Return the table to write to, as of a second ago."""
        if time.monotonic() >= self._look_at:
            self._slot = await connection.fetchval(queries.CURRENT_SLOT)
            self._look_at = time.monotonic() + _LOOK_SECONDS
        return self._slot

    async def turn(self, keep: timedelta) -> bool:
        """Go on to the next table if the current one was written to for half of `keep`; tell whether it turned.

        False also while the next one cannot be emptied yet: the ring waits, and nothing is lost.
        """
        # What is read behind the locks decides what is emptied: it must not be of a snapshot from before them.
        async with self._pool.connection() as connection, connection.transaction(isolation="read_committed"):
            await connection.execute(queries.TURN_QUICKLY)
            row = await connection.fetchrow(queries.LOCK_RING, keep / 2)
            if row is None:
                return False
            following = (row["slot"] + 1) % len(queries.SLOTS)
            try:
                async with connection.transaction():
                    await connection.execute(queries.LOCK_SLOT[following])
            except asyncpg.LockNotAvailableError:
                return False
            if await connection.fetchval(queries.SLOT_IS_NEEDED[following], keep):
                return False
            await connection.execute(queries.TRUNCATE_SLOT[following])
            await connection.execute(queries.SET_SLOT, following)
        log.info("the outbox ring turned", slot=following)
        return True


class RingTurner:
    """A part that turns the ring when it is due; of several, whichever comes first does it."""

    name = "outbox-ring"

    def __init__(self, ring: Ring, keep: timedelta) -> None:
        self._ring = ring
        self._keep = keep

    async def run(self, stop: asyncio.Event) -> None:
        """Look once a minute, or ten times in `keep` if that is more often, until told to stop."""
        pause = min(_TURN_SECONDS, self._keep.total_seconds() / 10)
        while not stop.is_set():
            try:
                await self._ring.turn(self._keep)
            except (Unavailable, Conflict) as error:
                log.warning("the outbox ring could not turn", reason=str(error))
            await rest(stop, pause)
