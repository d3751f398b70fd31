"""When the ring of tables may turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from corelib.postgres import queries
from corelib.postgres.pool import Pool
from corelib.postgres.ring import Ring
from corelib.postgres.store import Postgres
from log_relay.notes import following, leased, note, numbers


async def test_the_ring_turns_below_a_relay_that_keeps_up_and_waits_for_one_that_does_not(store: Postgres) -> None:
    ring, log = Ring(store._pool), await leased(store)
    keep = timedelta(0)

    async def written_in(slot: int) -> int:
        return int(await store.pool.fetchval(f"SELECT count(*) FROM outbox_{slot}"))

    for number in range(6):
        await note(store, number)
        chunk = await log.read(10)
        assert chunk
        assert numbers(chunk.rows) == [number]
        await log.commit(chunk.after)
        empty = await log.read(10)
        assert empty is None
        assert log._read
        await log.commit(log._read)
        assert await ring.turn(keep)
        store._ring._look_at = 0.0
    assert [await written_in(slot) for slot in range(3)] == [0, 1, 1]

    for number in range(6, 9):
        await note(store, number)
        await ring.turn(keep)
        store._ring._look_at = 0.0
    assert not await ring.turn(keep), "an unread table was emptied"
    assert sorted(await following(log)) == [6, 7, 8]


async def test_the_ring_keeps_what_was_written_before_there_was_a_relay(store: Postgres) -> None:
    ring = Ring(store._pool)
    for number in range(3):
        await note(store, number)
        await ring.turn(timedelta(0))
        store._ring._look_at = 0.0
    assert not await ring.turn(timedelta(0)), "a table that no relay has read was emptied"
    assert await following(await leased(store)) == [0, 1, 2]


class _Hanging:
    """A connection whose client is paused, or cut off, once it holds the lock on a table of the ring."""

    def __init__(self, connection: Any, locked: asyncio.Event) -> None:
        self._connection = connection
        self._locked = locked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, query: str, *args: Any) -> str:
        answer = str(await self._connection.execute(query, *args))
        if query in queries.LOCK_SLOT.values():
            self._locked.set()
            await asyncio.Event().wait()
        return answer


async def test_a_process_that_is_paused_while_it_turns_the_ring_stops_nobody_for_long(store: Postgres) -> None:
    locked = asyncio.Event()

    class HangingPool(Pool):
        @asynccontextmanager
        async def connection(self) -> AsyncIterator[Any]:
            async with store._pool.connection() as connection:
                yield _Hanging(connection, locked)

    log = await leased(store)
    turning = asyncio.create_task(Ring(HangingPool("", schema="", size=1)).turn(timedelta(0)))
    await locked.wait()
    await note(store, 1)
    assert await asyncio.wait_for(following(log), 20) == [1]
    turning.cancel()
    await asyncio.gather(turning, return_exceptions=True)
