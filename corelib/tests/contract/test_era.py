"""What an outbox does in a database that was restored: it refuses with an explanation, and goes on in a new era."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio

from corelib.clock import SystemClock
from corelib.errors import EraChanged
from corelib.history import Selection
from corelib.message import Channel, Event
from corelib.operation import Operation
from corelib.outbox_log import OutboxLog
from corelib.postgres.era import Eras
from corelib.postgres.store import Postgres
from corelib.transaction import Origin

CHANNEL = Channel("counted")
RELAYS = {"kafka": frozenset({CHANNEL.name})}


class Counted(Event, type="test.counted.v1", channels=(CHANNEL,), key="name"):
    name: str
    number: int


ORIGIN = Origin("test", SystemClock(), frozenset({Counted}))


@pytest_asyncio.fixture
async def store(database: str) -> AsyncIterator[Postgres]:
    store = Postgres(database, schema=f"t{uuid4().hex[:12]}")
    await store.provision()
    await store.open(ORIGIN)
    yield store
    await store.close()


@pytest_asyncio.fixture
async def elsewhere(database: str, store: Postgres) -> AsyncIterator[Postgres]:
    """Another cluster, to which the outbox of `store` will be taken: here another schema of the same one."""
    other = Postgres(database, schema=f"{store._schema}_restored")
    await other.provision()
    await other.open(ORIGIN)
    yield other
    await other.close()


async def publish(store: Postgres, *numbers: int) -> None:
    for number in numbers:
        async with store.transaction() as tx:
            tx.publish(Counted(name="k", number=number))


async def delivered(log: OutboxLog, limit: int = 100) -> list[int]:
    """Be the relay until there is nothing left."""
    numbers = []
    while chunk := await log.read(limit):
        await log.commit(chunk.after)
        numbers += [Counted.model_validate_json(row[4]).number for row in chunk.rows]
    return numbers


async def begun(store: Postgres) -> OutboxLog:
    log = store.log("kafka", RELAYS["kafka"])
    assert await log.acquire("test")
    return log


def operation() -> Operation:
    return Operation("new-era", "ann", "restored", {}, datetime.now(UTC))


async def restore(source: Postgres, target: Postgres, *, ahead: int) -> None:
    """Load a dump: rows and cursors as they were, of a cluster whose transactions had come further by `ahead`."""
    old, new = source._schema, target._schema
    later = f"(xid::text::bigint + {ahead})::text::xid8"
    columns = "id, hash, channel, key, headers, payload, written"
    for slot in range(3):
        await target.pool.execute(
            f"INSERT INTO {new}.outbox_{slot} (xid, {columns}) SELECT {later}, {columns} FROM {old}.outbox_{slot}"
        )
    await target.pool.execute(f"INSERT INTO {new}.outbox_cursor SELECT * FROM {old}.outbox_cursor")
    await target.pool.execute(
        f"""UPDATE {new}.outbox_cursor SET database = 'another cluster', holder = NULL, lease_until = '-infinity',
        done = format('%s:%s:', {ahead} + pg_snapshot_xmin(done)::text::bigint,
                      {ahead} + pg_snapshot_xmax(done)::text::bigint)::pg_snapshot,
        tick = format('%s:%s:', {ahead} + pg_snapshot_xmin(tick)::text::bigint,
                      {ahead} + pg_snapshot_xmax(tick)::text::bigint)::pg_snapshot"""
    )
    await target.pool.execute(f"SELECT setval('{new}.outbox_id', (SELECT last_value FROM {old}.outbox_id))")


@pytest.mark.parametrize("ahead", [0, 10_000_000])
async def test_a_dump_loaded_elsewhere_goes_on_with_what_was_not_sent_and_what_came_since(
    store: Postgres, elsewhere: Postgres, ahead: int
) -> None:
    await publish(store, 1, 2)
    assert await delivered(await begun(store)) == [1, 2]
    await publish(store, 3, 4)
    await restore(store, elsewhere, ahead=ahead)
    with pytest.raises(EraChanged, match="corelib outbox new-era"):
        await begun(elsewhere)
    await publish(elsewhere, 5)

    eras = elsewhere.eras(RELAYS)
    planned = await eras.plan()
    assert (planned.moved, planned.waiting, planned.kept) == (True, 3, 2)
    assert await eras.plan() == await eras.begin(operation()) == planned
    log = await begun(elsewhere)
    assert await delivered(log) == [3, 4, 5]
    await publish(elsewhere, 6)
    assert await delivered(log) == [6]
    await log.release()


async def test_after_a_new_era_the_ring_turns_and_what_was_sent_can_be_replayed(
    store: Postgres, elsewhere: Postgres
) -> None:
    await publish(store, 1, 2)
    await delivered(await begun(store))
    await restore(store, elsewhere, ahead=10_000_000)
    await elsewhere.eras(RELAYS).begin(operation())
    selection = Selection(channels=RELAYS["kafka"])
    pages = [page async for page in elsewhere.history("kafka").pages(selection)]
    assert sum(len(page.records) for page in pages) == 2
    assert await delivered(await begun(elsewhere)) == []
    assert [await elsewhere._ring.turn(timedelta(0)) for _ in range(3)] == [True] * 3
    assert await elsewhere.pool.fetchval("SELECT count(*) FROM outbox_0") == 0


async def test_a_database_set_back_behind_the_brokers_receipt_is_noticed(store: Postgres) -> None:
    await publish(store, 1)
    log = await begun(store)
    assert await delivered(log) == [1]
    kept = await store.pool.fetchrow("SELECT * FROM outbox_cursor")
    await publish(store, 2)
    chunk = await log.read(10)
    assert chunk is not None
    await log.release()
    assert kept is not None

    # Back to before event 2, then on: event 3 gets the number that event 2 had.
    await store.pool.execute("DELETE FROM outbox_0 WHERE id = 2")
    await store.pool.execute("SELECT setval('outbox_id', 1)")
    await publish(store, 3)
    again = await begun(store)
    with pytest.raises(EraChanged, match="set back"):
        await again.recover(chunk.receipt)
    await again.release()

    era = await store.eras(RELAYS).begin(operation())
    assert not era.moved
    anew = await begun(store)
    await anew.recover(chunk.receipt)
    assert await delivered(anew) == [3]


async def test_a_receipt_that_is_ahead_of_the_cursor_is_gone_on_from(store: Postgres) -> None:
    await publish(store, 1, 2)
    log = await begun(store)
    chunk = await log.read(10)
    assert chunk is not None
    await log.release()
    again = await begun(store)
    await again.recover(chunk.receipt)
    assert await delivered(again) == []


async def test_a_new_era_is_written_down_with_what_it_did(store: Postgres) -> None:
    await publish(store, 1)
    await Eras(store._pool, RELAYS).begin(operation())
    (kept,) = await store.operations.list()
    assert (kept.kind, kept.who, kept.progress) == (
        "new-era",
        "ann",
        {"era": 1, "moved": False, "waiting": 1, "kept": 0},
    )
    assert kept.ended is not None
