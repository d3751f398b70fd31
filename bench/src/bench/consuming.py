"""`python -m bench.consuming MODE`: consumes a topic of events, and prints the rate between the first and the last one.

`effect` and `no-op` are corelib's consumer with a row and an inbox mark in PostgreSQL for each event, and with a store
that keeps nothing; `one by one` is what most write; `bare` only takes the records from aiokafka.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer

from bench.shop import SOLD, Sold
from corelib.actor import Actor, receive
from corelib.clock import SystemClock
from corelib.consumer.consumer import Consumer
from corelib.kafka.broker import Kafka
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.store import Failure, Parked, Queued, Store
from corelib.transaction import Mark, Origin, Transaction
from corelib.tuning import tune

TABLE = "CREATE TABLE IF NOT EXISTS sale (order_id text NOT NULL, number int NOT NULL)"
SALE = "INSERT INTO sale VALUES ($1, $2)"
_OWN_INBOX = "CREATE TABLE IF NOT EXISTS own_inbox (id uuid PRIMARY KEY)"
_OWN_MARK = "INSERT INTO own_inbox VALUES ($1) ON CONFLICT DO NOTHING RETURNING 1"
_CONNECTIONS = 8
_ORIGIN = Origin("bench", SystemClock(), frozenset())


class Tally:
    """Tells when so many have come."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.come = 0
        self.began = 0.0
        self.ended = 0.0
        self.all = asyncio.Event()

    def count(self, number: int = 1) -> None:
        """Count some more."""
        self.began = self.began or time.perf_counter()
        self.come += number
        if self.come >= self.wanted and not self.ended:
            self.ended = time.perf_counter()
            self.all.set()

    @property
    def rate(self) -> float:
        """How many came a second."""
        return self.wanted / (self.ended - self.began)


@dataclass(frozen=True)
class Bookkeeper(Actor):
    """Writes a row for each event."""

    tally: Tally

    @receive
    async def sold(self, event: Sold, tx: PostgresTransaction) -> None:
        """Write it down."""
        await tx.execute(SALE, event.order_id, event.number)
        self.tally.count()


@dataclass(frozen=True)
class Onlooker(Actor):
    """Does nothing with each event."""

    tally: Tally

    @receive
    async def sold(self, _: Sold, __: Transaction) -> None:
        """See it."""
        self.tally.count()


class _NothingKept(Transaction):
    async def commit(self) -> None:
        return


class Nowhere:
    """A store that keeps nothing: what is left is the consumer's own cost. Only what a consumer asks for."""

    together = Postgres.together

    def __init__(self) -> None:
        self.parking = self

    @asynccontextmanager
    async def transaction(
        self, *, mark: Mark | None = None, traceparent: str | None = None
    ) -> AsyncIterator[Transaction]:
        """Open a unit of work that writes nothing."""
        tx = _NothingKept(_ORIGIN, mark, traceparent)
        yield tx
        await tx.commit()

    async def keys(self) -> frozenset[tuple[str, str]]:
        """Nothing is parked."""
        return frozenset()

    async def sizes(self) -> Mapping[str, Queued]:
        """Nothing is parked."""
        return {}

    async def list(self, *_: str) -> Sequence[Parked]:
        """Nothing is parked."""
        return []

    async def park(self, handler: str, record: object, failure: Failure, *, attempts: int) -> None:
        """Refuse: a bench that fails says so."""
        raise AssertionError(failure.traceback, handler, record, attempts)


async def _ours(tally: Tally, actor: Actor, store: Store) -> None:
    kafka = Kafka(os.environ["BENCH_BOOTSTRAP"])
    consumer = Consumer(
        lambda: kafka.subscribe(os.environ["BENCH_GROUP"], [SOLD]),
        list(actor.routes()),
        store,
        concurrency=2 * _CONNECTIONS,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(consumer.run(stop))
    waiting = asyncio.create_task(tally.all.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await running


async def _effect(tally: Tally) -> None:
    store = Postgres(os.environ["BENCH_DSN"], schema=os.environ["BENCH_GROUP"], migrations=(TABLE,),
                     pool_size=_CONNECTIONS)  # fmt: skip
    await store.provision()
    await store.open(_ORIGIN)
    await _ours(tally, Bookkeeper(tally), store)
    kept = await store.pool.fetchval("SELECT count(*) FROM sale")
    if kept < tally.wanted:
        raise AssertionError(f"{kept} effects of {tally.wanted} events")
    await store.close()


async def _no_op(tally: Tally) -> None:
    await _ours(tally, Onlooker(tally), cast("Store", Nowhere()))


@asynccontextmanager
async def _consumer() -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        SOLD.name,
        bootstrap_servers=os.environ["BENCH_BOOTSTRAP"],
        group_id=os.environ["BENCH_GROUP"],
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _one_by_one(tally: Tally) -> None:
    connection = await asyncpg.connect(os.environ["BENCH_DSN"])
    await connection.execute(f"{TABLE};{_OWN_INBOX}")
    async with _consumer() as consumer:
        while not tally.all.is_set():
            for messages in (await consumer.getmany(timeout_ms=200, max_records=500)).values():
                for message in messages:
                    event = Sold.model_validate_json(message.value)
                    async with connection.transaction():
                        await connection.execute(SALE, event.order_id, event.number)
                        await connection.fetchval(_OWN_MARK, dict(message.headers)["ce_id"].decode())
                    tally.count()
            await consumer.commit()
    await connection.execute("DROP TABLE sale, own_inbox")
    await connection.close()


async def _bare(tally: Tally) -> None:
    async with _consumer() as consumer:
        while not tally.all.is_set():
            for messages in (await consumer.getmany(timeout_ms=200, max_records=500)).values():
                tally.count(len(messages))


_MODES = {"effect": _effect, "no-op": _no_op, "one by one": _one_by_one, "bare": _bare}


async def _rate(mode: str) -> float:
    tally = Tally(int(os.environ["BENCH_EVENTS"]))
    tune()
    await _MODES[mode](tally)
    return tally.rate


if __name__ == "__main__":
    print(uvloop.run(_rate(sys.argv[1])))
