"""From PostgreSQL's outbox to Kafka exactly once: what crashes, zombies, late commits and restores must not change."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition

from corelib.broker import Outgoing
from corelib.clock import SystemClock
from corelib.errors import EraChanged, LeaseLost, Unavailable
from corelib.kafka.broker import Kafka
from corelib.log_relay import LogRelay
from corelib.message import Channel, Event, Record
from corelib.outbox_log import OutboxLog
from corelib.postgres import queries
from corelib.postgres.log import PostgresLogTable
from corelib.postgres.pool import Pool
from corelib.postgres.ring import Ring
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import write_events
from corelib.store import Chunk
from corelib.testing.running import parts_running, until
from corelib.transaction import Origin

CHANNEL = Channel(f"noted-{uuid4().hex[:8]}", partitions=2)
CHANNELS = frozenset({CHANNEL.name})


class Noted(Event, type="test.noted.v1", channels=(CHANNEL,), key="name"):
    name: str
    number: int


@pytest_asyncio.fixture
async def store(postgres_dsn: str) -> AsyncIterator[Postgres]:
    store = Postgres(postgres_dsn, schema=f"t{uuid4().hex[:12]}")
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset({Noted})))
    yield store
    await store.close()


@pytest_asyncio.fixture
async def kafka(kafka_bootstrap: str) -> Kafka:
    kafka = Kafka(kafka_bootstrap, prefix=f"t{uuid4().hex[:8]}-")
    await kafka.provision([CHANNEL])
    return kafka


def relay(store: Postgres, kafka: Kafka, **overridden: Any) -> LogRelay:
    source = overridden.get("source") or store.log("kafka", CHANNELS)
    sink = overridden.get("sink") or kafka.log("outbox")
    return LogRelay(source, sink, store.committed())


async def note(store: Postgres, *numbers: int, name: str = "k") -> None:
    async with store.transaction() as tx:
        for number in numbers:
            tx.publish(Noted(name=name, number=number))


async def leased(store: Postgres, holder: str = "me") -> OutboxLog:
    log = store.log("kafka", CHANNELS)
    assert await log.acquire(holder)
    return log


def numbers(rows: Sequence[Outgoing]) -> list[int]:
    return [Noted.model_validate_json(row[4]).number for row in rows]


async def following(log: OutboxLog, limit: int = 100) -> list[int]:
    chunk = await log.read(limit)
    return numbers(chunk.rows) if chunk else []


async def on_topic(kafka: Kafka, bootstrap: str) -> list[int]:
    """Return what a `read_committed` consumer sees of the topic by now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    places = [TopicPartition(kafka.topic(CHANNEL.name), n) for n in range(CHANNEL.partitions)]
    await consumer.start()
    try:
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        seen: list[int] = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for messages in (await consumer.getmany(*places, timeout_ms=100)).values():
                seen += [Noted.model_validate_json(message.value).number for message in messages]
        return seen
    finally:
        await consumer.stop()


async def delivered(store: Postgres, kafka: Kafka, bootstrap: str, last: int) -> list[int]:
    """Relay until a number is on the topic; return all of it."""

    async def there() -> bool:
        return last in await on_topic(kafka, bootstrap)

    async with parts_running(relay(store, kafka)):
        await until(there)
    return await on_topic(kafka, bootstrap)


class _DiesBeforeItsCursorMoves(OutboxLog):
    """The log of a relay that is killed after the broker's commit and before its own."""

    async def commit(self, position: Any) -> None:
        if position.id:
            raise asyncio.CancelledError
        await super().commit(position)


async def test_a_relay_killed_between_send_and_commit_sends_nothing_twice(
    store: Postgres, kafka: Kafka, kafka_bootstrap: str
) -> None:
    await note(store, *range(20))
    source = _DiesBeforeItsCursorMoves(PostgresLogTable(store._pool, "kafka", CHANNELS), "kafka")
    with pytest.raises(asyncio.CancelledError):
        await relay(store, kafka, source=source).run(asyncio.Event())
    assert sorted(await on_topic(kafka, kafka_bootstrap)) == list(range(20))

    await note(store, 20)
    assert await delivered(store, kafka, kafka_bootstrap, last=20) == list(range(21))


async def test_what_a_relay_had_half_sent_when_it_died_is_seen_by_nobody(
    store: Postgres, kafka: Kafka, kafka_bootstrap: str
) -> None:
    await note(store, *range(10))
    log, sink = await leased(store, "the dead"), kafka.log("outbox")
    assert await sink.begin() is None
    chunk = await log.read(100)
    assert chunk
    producer = sink._producer
    assert producer is not None
    await producer.begin_transaction()
    await sink._send_all(producer, chunk.rows)
    assert await on_topic(kafka, kafka_bootstrap) == []

    await log.release()
    assert await delivered(store, kafka, kafka_bootstrap, last=9) == list(range(10))
    await sink.close()
    assert await on_topic(kafka, kafka_bootstrap) == list(range(10))


async def test_a_relay_that_was_only_thought_dead_can_send_nothing_more(
    store: Postgres, kafka: Kafka, kafka_bootstrap: str
) -> None:
    await note(store, 1)
    log, zombie, successor = await leased(store), kafka.log("outbox"), kafka.log("outbox")
    chunk = await log.read(1)
    assert chunk
    await zombie.begin()
    await successor.begin()
    with pytest.raises(LeaseLost):
        await zombie.send(chunk.rows, chunk.receipt)
    assert await on_topic(kafka, kafka_bootstrap) == []
    await successor.send(chunk.rows, chunk.receipt)
    await successor.close()
    assert await on_topic(kafka, kafka_bootstrap) == [1]


async def test_a_receipt_says_how_far_the_last_relay_came(store: Postgres, kafka: Kafka) -> None:
    await note(store, 1, 2)
    log, sink = await leased(store), kafka.log("outbox")
    await sink.begin()
    first = await log.read(1)
    assert first
    await sink.send(first.rows, first.receipt)
    await sink.close()
    await log.release()

    other, next_sink = await leased(store, "other"), kafka.log("outbox")
    receipt = await next_sink.begin()
    await next_sink.close()
    assert receipt == first.receipt
    await other.recover(receipt)
    assert await following(other) == [2]


async def test_an_old_receipt_takes_nothing_back(store: Postgres) -> None:
    await note(store, 1, 2)
    log = await leased(store)
    first = await log.read(1)
    second = await log.read(1)
    assert first
    assert second
    await log.commit(second.after)
    await log.recover(first.receipt)
    assert await following(log) == []


async def test_a_receipt_of_another_database_says_nothing(store: Postgres) -> None:
    await note(store, 1)
    log = await leased(store)
    chunk = await log.read(1)
    assert chunk
    log.rewind()
    await log.recover(chunk.after.receipt("another database", "an event"))
    assert await following(log) == [1]


async def test_a_read_ahead_that_finds_nothing_moves_no_cursor_past_rows_on_their_way(store: Postgres) -> None:
    await note(store, 1)
    log = await leased(store)
    on_its_way = await log.read(10)
    assert on_its_way
    assert await log.read(10) is None
    await log.release()
    assert await following(await leased(store, "other")) == [1]


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


@asynccontextmanager
async def open_transaction(dsn: str, schema: str = "public") -> AsyncIterator[asyncpg.Connection]:
    """Give a connection whose transaction has a number and is under way."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": schema})
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_current_xact_id()")
            yield connection
    finally:
        await connection.close()


def _record(number: int, name: str) -> Record:
    return Record(CHANNEL.name, name, (), Noted(name=name, number=number).model_dump_json().encode())


async def test_rows_with_lower_ids_that_commit_late_are_not_skipped(store: Postgres, postgres_dsn: str) -> None:
    log = await leased(store)
    async with open_transaction(postgres_dsn, store._schema) as slow:
        await slow.execute(write_events([_record(1, "slow"), _record(2, "slow")], 0))
        await note(store, 3, 4)
        assert await following(log) == [3, 4]
        await note(store, 5)
        assert await following(log) == [5]
    assert await following(log) == [1, 2]
    assert await following(log) == []


async def test_an_aborted_transaction_delivers_nothing(store: Postgres, postgres_dsn: str) -> None:
    log = await leased(store)
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": store._schema})
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(write_events([_record(1, "ghost")], 0))
    await note(store, 2)
    assert await following(log) == [2]
    await transaction.rollback()
    await connection.close()
    await note(store, 3)
    assert await following(log) == [3]


async def test_a_transaction_left_open_here_or_in_another_database_stalls_nothing(
    store: Postgres, postgres_dsn: str, database: str
) -> None:
    assert urlsplit(database).path != urlsplit(postgres_dsn).path
    async with open_transaction(postgres_dsn), open_transaction(database):
        log = await leased(store)
        for number in range(3):
            await note(store, number)
            assert await following(log) == [number]


async def test_a_backlog_is_read_in_pages_each_row_once_in_order(store: Postgres) -> None:
    await note(store, *range(25))
    log = await leased(store)
    pages: list[Chunk] = []
    while (chunk := await log.read(10)) is not None:
        pages.append(chunk)
    assert [numbers(page.rows) for page in pages] == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    await log.commit(pages[0].after)
    log.rewind()
    assert await following(log) == list(range(10, 25))


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


@pytest.mark.parametrize(
    "restored",
    ["UPDATE outbox_cursor SET database = 'another'", "UPDATE outbox_cursor SET done = '900000000000:900000000000:'"],
)
async def test_in_a_restored_database_the_relay_refuses_and_says_what_to_do(store: Postgres, restored: str) -> None:
    log = await leased(store)
    await log.release()
    await store.pool.execute(restored)
    with pytest.raises(EraChanged, match="corelib outbox new-era"):
        await store.log("kafka", CHANNELS).acquire("me")


async def test_events_written_while_the_relay_runs_arrive_once_in_order_of_their_keys(
    store: Postgres, kafka: Kafka, kafka_bootstrap: str
) -> None:
    async def there() -> bool:
        return len(await on_topic(kafka, kafka_bootstrap)) >= 200

    async with parts_running(relay(store, kafka), relay(store, kafka)):
        for number in range(200):
            await note(store, number, name=f"key-{number % 5}")
        await until(there)
    seen = await on_topic(kafka, kafka_bootstrap)
    assert sorted(seen) == list(range(200))
    for key in range(5):
        assert [n for n in seen if n % 5 == key] == list(range(key, 200, 5))
