"""Whose fault an error of PostgreSQL is, by its code: its own trouble parks nothing, what a statement asks for does."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from corelib.actor import Actor, receive
from corelib.clock import SystemClock
from corelib.consumer.consumer import Consumer
from corelib.errors import Unavailable
from corelib.ids import uuid7
from corelib.memory.broker import MemoryBroker
from corelib.message import Channel, Envelope, Event, Record
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.postgres.trouble import AMISS
from corelib.testing.running import parts_running, until
from corelib.transaction import Origin

CHANNEL = Channel("coded")
# Of the codes in PostgreSQL's appendix A, and some that a later version may add to a class.
TROUBLE = [
    "08000",
    "08003",
    "08006",
    "25006",
    "25P03",
    "25P04",
    "28000",
    "28P01",
    "3D000",
    "42501",
    "42P01",
    "53000",
    "53100",
    "53200",
    "53300",
    "53400",
    "53999",
    "57000",
    "57014",
    "57P01",
    "57P02",
    "57P03",
    "57P04",
    "57P05",
    "57P99",
    "58000",
    "58030",
    "58P01",
    "58P02",
    "F0000",
    "F0001",
    "XX001",
    "XX002",
    "40001",
    "40P01",
    "55P03",
]
THE_EVENTS = ["22001", "22012", "22P02", "23502", "23503", "42703", "54000", "P0001", "XX000"]
FAIL = "DO $$ BEGIN RAISE 'as the test asked for' USING ERRCODE = '{}'; END $$"


class Coded(Event, type="test.coded.v1", channels=(CHANNEL,), key="code"):
    code: str


@dataclass(frozen=True)
class Unlucky(Actor):
    """Has each statement fail twice with the code that its event names."""

    tries: Counter[str] = field(default_factory=Counter)

    @receive
    async def coded(self, event: Coded, tx: PostgresTransaction) -> None:
        self.tries[event.code] += 1
        if self.tries[event.code] <= 2:
            await tx.execute(FAIL.format(event.code))


@dataclass(frozen=True)
class InSavepoint(Unlucky):
    """Fails within a savepoint: nothing is amiss with the transaction afterwards."""

    @receive
    async def coded(self, event: Coded, tx: PostgresTransaction) -> None:
        async with tx.connection.transaction():
            await super().coded(event, tx)


@dataclass(frozen=True)
class Borrower(Actor):
    """Has another database fail, over a connection of its own."""

    other: asyncpg.Pool
    tries: Counter[str] = field(default_factory=Counter)

    @receive
    async def coded(self, event: Coded, tx: PostgresTransaction) -> None:
        self.tries[event.code] += 1
        await tx.execute("SELECT 1")
        await self.other.execute(FAIL.format(event.code))


@pytest_asyncio.fixture
async def store(postgres_dsn: str) -> AsyncIterator[Postgres]:
    store = Postgres(postgres_dsn, schema=f"t{uuid4().hex[:12]}")
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset({Coded})))
    yield store
    await store.close()


def record(code: str) -> Record:
    envelope = Envelope(uuid7(), Coded.type, "test", SystemClock().now(), code)
    return envelope.record(CHANNEL.name, Coded(code=code).model_dump_json().encode())


@pytest.mark.parametrize("kind", [Unlucky, InSavepoint])
async def test_trouble_of_the_database_is_waited_for_and_parks_nothing(store: Postgres, kind: type[Unlucky]) -> None:
    unlucky, broker = kind(), MemoryBroker()
    routes = [replace(route, attempts=1) for route in unlucky.routes()]
    await broker.send([record(code) for code in (*TROUBLE, *THE_EVENTS)])

    async def settled() -> bool:
        parked = {key for _, key in await store.parking.keys()}
        return all(unlucky.tries[code] == 3 or code in parked for code in (*TROUBLE, *THE_EVENTS))

    with capture_logs() as logs:
        async with parts_running(Consumer(lambda: broker.subscribe("test", [CHANNEL]), routes, store)):
            await until(settled)
    assert {key for _, key in await store.parking.keys()} == set(THE_EVENTS)
    assert {unlucky.tries[code] for code in THE_EVENTS} == {1}
    reasons = " ".join(entry.get("reason", "") for entry in logs)
    assert all(meaning in reasons for code, meaning in AMISS.items() if code in TROUBLE)


async def test_trouble_of_another_database_is_an_attempt(store: Postgres, postgres_dsn: str) -> None:
    codes = [*TROUBLE, *THE_EVENTS, asyncpg.UniqueViolationError.sqlstate]
    broker = MemoryBroker()
    borrower = Borrower(await asyncpg.create_pool(postgres_dsn, min_size=1))
    routes = [replace(route, attempts=1) for route in borrower.routes()]
    await broker.send([record(code) for code in codes])

    async def parked() -> bool:
        return len(await store.parking.keys()) == len(codes)

    with capture_logs():  # tracebacks, drawn by the dozen
        async with parts_running(Consumer(lambda: broker.subscribe("test", [CHANNEL]), routes, store)):
            await until(parked)
    assert borrower.tries == dict.fromkeys(codes, 1)
    await store.check()  # a disk that is full elsewhere is not ours
    await borrower.other.close()


async def test_a_cluster_of_which_no_server_takes_writes_is_waited_for(postgres_dsn: str) -> None:
    parameter = "&" if "?" in postgres_dsn else "?"
    store = Postgres(f"{postgres_dsn}{parameter}target_session_attrs=standby", schema="nobody")
    with pytest.raises(Unavailable, match="standby"):
        await store.open(Origin("test", SystemClock(), frozenset()))


def test_every_class_of_trouble_is_tried() -> None:
    assert {code for code in AMISS if not any(tried.startswith(code) for tried in TROUBLE)} == set()
