"""One relay at a time: who holds the lease, who takes over, and what a paused one may still do."""

from typing import Any

import pytest

from corelib.errors import LeaseLost, Unavailable
from corelib.outbox_log import OutboxLog
from corelib.postgres.log import PostgresLogTable
from corelib.postgres.store import Postgres
from log_relay.notes import CHANNELS, following, leased, note


async def test_one_relay_holds_the_lease_and_another_takes_over_when_it_is_given_up_or_ends(store: Postgres) -> None:
    await note(store, 1)
    first = await leased(store, "first")
    second = store.log("kafka", CHANNELS)
    assert not await second.acquire("second")
    chunk = await first.read(1)
    assert chunk
    await first.release()
    assert await second.acquire("second")
    with pytest.raises(LeaseLost):
        await first.commit(chunk.after)

    third = store.log("kafka", CHANNELS)
    assert not await third.acquire("third")
    await store.pool.execute("UPDATE outbox_cursor SET lease_until = now() - interval '1 s'")
    assert await third.acquire("third")
    assert not await second.acquire("second")
    assert await following(third) == [1]


async def test_a_paused_relay_moves_no_cursor_when_it_wakes(store: Postgres) -> None:
    await note(store, 1, 2)
    zombie = await leased(store, "zombie")
    read_before_the_pause = await zombie.read(1)
    assert read_before_the_pause
    await store.pool.execute("UPDATE outbox_cursor SET lease_until = now() - interval '1 s'")
    successor = await leased(store, "successor")
    both = await successor.read(2)
    assert both
    await successor.commit(both.after)
    with pytest.raises(LeaseLost):
        await zombie.commit(read_before_the_pause.after)
    successor.rewind()
    assert await following(successor) == []


class _Counted(PostgresLogTable):
    moves = 0

    async def move(self, fence: int | None, position: Any) -> bool:
        self.moves += 1
        return await super().move(fence, position)


async def test_where_the_broker_keeps_the_position_the_cursor_follows_later_and_is_right_in_the_end(
    store: Postgres,
) -> None:
    await note(store, *range(30))
    table = _Counted(store._pool, "kafka", CHANNELS)
    log = OutboxLog(table, "kafka")
    assert await log.acquire("me")
    for _ in range(20):
        chunk = await log.read(1)
        assert chunk
        await log.passed(chunk.after)
    assert table.moves < 20
    assert await log.lag_seconds() > 0
    await log.release()
    assert await following(await leased(store, "other")) == list(range(20, 30))


class _DatabaseGoneAtTheEnd(PostgresLogTable):
    async def give_up(self, fence: int) -> None:
        raise Unavailable("postgres", f"gone before the lease {fence} could be given up")


async def test_a_relay_that_could_not_give_up_its_lease_reads_again_what_it_had_not_delivered(store: Postgres) -> None:
    await note(store, 1)
    log = OutboxLog(_DatabaseGoneAtTheEnd(store._pool, "kafka", CHANNELS), "kafka")
    assert await log.acquire("me")
    assert await following(log) == [1]
    with pytest.raises(Unavailable):
        await log.release()
    assert await log.acquire("me")
    assert await following(log) == [1]


async def test_a_lease_that_was_anothers_meanwhile_is_not_renewed_but_taken_anew(store: Postgres) -> None:
    await note(store, 1)
    log = await leased(store, "paused")
    assert await following(log) == [1]
    for _ in range(2):
        await store.pool.execute("UPDATE outbox_cursor SET lease_until = now() - interval '1 s'")
        await leased(store, "other")
        await store.pool.execute("UPDATE outbox_cursor SET lease_until = now() - interval '1 s'")
        assert not await log.acquire("paused"), "the relay would send what it has in hand, and read it again"
        assert await log.acquire("paused")
        assert await following(log) == [1]
