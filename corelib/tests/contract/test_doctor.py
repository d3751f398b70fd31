"""Each thing that the doctor finds, brought about on the real parts."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient

from corelib.actor import Actor, receive
from corelib.aws import Aws
from corelib.config import ServiceSettings
from corelib.doctor import database as checks
from corelib.doctor import flow, queues, topics
from corelib.doctor.examination import examine
from corelib.doctor.finding import Case, Check, Level
from corelib.dynamo.store import Dynamo
from corelib.kafka.admin import Topic, new_topic
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Envelope, Event, Record, Transport
from corelib.postgres import operator_queries
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.service import Service
from corelib.sqs.broker import Sqs
from corelib.sqs.queues import Queues, dead_letters_of
from corelib.store import Failure, Store

NOTES = Channel("notes", partitions=1)
QUEUE = Channel("letters", Transport.SQS)


class Noted(Event, type="test.noted.v1", channels=(NOTES,), key="name"):
    name: str


class Mailed(Event, type="test.mailed.v1", channels=(QUEUE,), key="name"):
    name: str


@dataclass(frozen=True)
class Reader(Actor):
    @receive
    async def noted(self, event: Noted, tx: PostgresTransaction) -> None:
        """Read it."""


async def nothing() -> None:
    """Watch for no time."""


@pytest_asyncio.fixture(params=["postgres", "dynamodb"])
async def service(request: pytest.FixtureRequest, database: str, aws_endpoint: str) -> AsyncIterator[Service]:
    name = f"t{uuid4().hex[:12]}"
    store: Store = (
        Postgres(database, schema=name)
        if request.param == "postgres"
        else Dynamo("doctor", Aws(endpoint_url=aws_endpoint, prefix=name))
    )
    service = Service("notes", ServiceSettings(), store=store, publishes=[Noted], brokers=[Kafka("127.0.0.1:1")])
    await store.provision()
    await store.open(service.origin)
    yield service
    await store.close()


@pytest_asyncio.fixture
async def postgres(database: str) -> AsyncIterator[Service]:
    store = Postgres(database, schema=f"t{uuid4().hex[:12]}")
    service = Service("notes", ServiceSettings(), store=store, publishes=[Noted], brokers=[Kafka("127.0.0.1:1")])
    await store.provision()
    await store.open(service.origin)
    yield service
    await store.close()


async def said(check: Check, service: Service, **case: Any) -> str:
    """Return everything that a check finds, as a text."""
    given = Case(service, **({"watch": nothing} | case))
    return "\n".join(f"{found.level} {found.about}: {found.what} -> {found.remedy}" for found in await check(given))


async def publish(service: Service, name: str = "k") -> None:
    async with service.store.transaction() as tx:
        tx.publish(Noted(name=name))


async def test_events_that_no_relay_takes(service: Service) -> None:
    await publish(service)
    assert "problem relay kafka: no relay is at work; the oldest event has waited" in await said(flow.relays, service)


async def test_a_lease_that_a_dead_relay_holds(service: Service) -> None:
    await publish(service)
    assert await service.store.outbox("kafka", frozenset({"notes"})).acquire("ghost-7")
    assert "held by ghost-7, which gives no sign of life; the oldest event" in await said(flow.relays, service)


def at_work(service: Service, delivers: int = 0) -> Callable[[], Awaitable[None]]:
    """Return a time in which a relay shows life, and delivers so many events."""
    reader = service.store.outbox("kafka", frozenset({"notes"}))

    async def watch() -> None:
        assert await reader.acquire("relay-1")
        for _ in range(delivers):
            await reader.acknowledge(await reader.read(1))

    return watch


async def test_a_relay_that_stalls_is_told_from_one_that_is_behind_and_one_that_idles(service: Service) -> None:
    watch = at_work(service)
    await watch()
    assert "note relay kafka: idle" in await said(flow.relays, service, watch=watch)
    for _ in range(2):
        await publish(service, f"k{uuid4()}")
    assert "problem relay kafka: stalled: the oldest event" in await said(flow.relays, service, watch=watch)


async def test_a_relay_that_is_behind_but_moves(postgres: Service) -> None:
    watch = at_work(postgres, delivers=1)
    assert await postgres.store.outbox("kafka", frozenset({"notes"})).acquire("relay-1")
    for _ in range(3):
        await publish(postgres)
    behind = await said(flow.relays, postgres, watch=watch, late=timedelta(0))
    assert "warning relay kafka: behind: events move" in behind


async def test_a_relay_that_is_not_there_while_nothing_waits(service: Service) -> None:
    assert "warning relay kafka: no relay is at work; nothing waits" in await said(flow.relays, service)


async def test_parked_keys(service: Service) -> None:
    record = Envelope(uuid4(), "test.noted.v1", "test", datetime.now(UTC), "k").record("notes", b"{}")
    await service.store.parking.park("Reader.noted", record, Failure("ValueError: no such note"), attempts=5)
    found = await said(flow.parked, service)
    assert "problem handler Reader.noted: 1 events of 1 keys are parked" in found
    assert "no such note" in found
    assert "corelib parked" in found


async def test_a_schema_that_is_missing(database: str, aws_endpoint: str) -> None:
    for store in (
        Postgres(database, schema="nowhere"),
        Dynamo("nowhere", Aws(endpoint_url=aws_endpoint, prefix=f"t{uuid4().hex[:8]}-")),
    ):
        service = Service("none", ServiceSettings(), store=store)
        assert "Run `corelib outbox migrate`" in await said(flow.schema, service)
        assert any("corelib outbox migrate" in found.what for found in await examine(Case(service, nothing)))


async def test_a_transaction_that_is_open_for_long(postgres: Service, database: str) -> None:
    connection = await asyncpg.connect(database, server_settings={"application_name": "forgotten-job"})
    async with connection.transaction():
        await connection.execute("SELECT pg_current_xact_id()")
        found = await said(checks.transactions, postgres, long=timedelta(0))
    await connection.close()
    assert "forgotten-job" in found
    assert "pg_terminate_backend" in found
    assert "forgotten-job" not in await said(checks.transactions, postgres, long=timedelta(0))


async def test_a_ring_that_does_not_turn(database: str) -> None:
    store = Postgres(database, schema=f"t{uuid4().hex[:12]}", keep=timedelta(microseconds=1))
    service = Service("notes", ServiceSettings(), store=store)
    await store.provision()
    await store.open(service.origin)
    assert "warning outbox ring: has not turned" in await said(checks.ring, service)
    store.keep = timedelta(days=1)
    assert not await said(checks.ring, service)
    await store.close()


async def test_clocks_that_differ(postgres: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not await said(checks.clock, postgres)
    real = time.time
    monkeypatch.setattr("corelib.doctor.database.time.time", lambda: real() + 60)
    assert "the database's clock is 60" in await said(checks.clock, postgres)
    assert "behind this machine's" in await said(checks.clock, postgres)


async def test_a_role_that_sees_only_its_own_sessions(postgres: Service, database: str) -> None:
    assert not await said(checks.age, postgres)
    connection = await asyncpg.connect(database)
    role = f"r{uuid4().hex[:12]}"
    await connection.execute(f"CREATE ROLE {role}")
    await connection.execute(f"SET ROLE {role}")
    row = await connection.fetchrow(operator_queries.DATABASE_AGE)
    await connection.close()
    assert row is not None
    (found,) = checks.judge_age(row["age"], autovacuum=row["autovacuum"], sees_all=row["sees_all"])
    assert "pg_read_all_stats" in found.remedy


def test_transaction_numbers_that_run_out_and_vacuum_turned_off() -> None:
    levels = [found.level for found in checks.judge_age(1_500_000_000, autovacuum=False, sees_all=True)]
    assert levels == [Level.PROBLEM, Level.WARNING]


@pytest_asyncio.fixture
async def kafka(kafka_bootstrap: str) -> AsyncIterator[Kafka]:
    kafka = Kafka(kafka_bootstrap, prefix=f"t{uuid4().hex[:8]}-")
    await kafka.open()
    yield kafka
    await kafka.close()


def on_kafka(kafka: Kafka) -> Service:
    store = Postgres("postgresql://nobody@127.0.0.1:1/none")
    return Service("notes", ServiceSettings(), store=store, publishes=[Noted], actors=[Reader()], brokers=[kafka])


async def create(kafka: Kafka, bootstrap: str, **settings: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([new_topic(kafka.topic("notes"), 1, **settings)])
    await admin.close()


async def test_a_topic_that_is_missing(kafka: Kafka) -> None:
    assert f"problem topic {kafka.topic('notes')}: the topic does not exist" in await said(
        topics.topics, on_kafka(kafka)
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ""),
        ({"retention.ms": "60000"}, "retention is 0:01:00: a consumer that is down for longer loses events"),
        ({"retention.ms": "-1"}, "keeps events for ever"),
        ({"cleanup.policy": "compact"}, "it is compacted"),
        ({"max.message.bytes": "100000"}, "max.message.bytes is 100000"),
        ({"unclean.leader.election.enable": "true"}, "unclean leader election is on"),
    ],
)
async def test_settings_of_a_topic_that_break_promises(
    kafka: Kafka, kafka_bootstrap: str, settings: dict[str, str], expected: str
) -> None:
    await create(kafka, kafka_bootstrap, **settings)
    found = [line for line in (await said(topics.topics, on_kafka(kafka))).splitlines() if not line.startswith("note")]
    assert len(found) == bool(expected)
    assert expected in "\n".join(found)


@pytest.mark.parametrize(
    ("replicas", "least", "brokers", "levels"),
    [
        (1, 1, 1, [Level.NOTE]),
        (1, 1, 3, [Level.PROBLEM]),
        (3, 1, 3, [Level.PROBLEM]),
        (3, 2, 3, []),
        (3, 3, 3, [Level.WARNING]),
    ],
)
def test_copies_of_what_was_acknowledged(replicas: int, least: int, brokers: int, levels: list[Level]) -> None:
    settings = {"min.insync.replicas": str(least), "unclean.leader.election.enable": "false"}
    found = topics.judge_replication(Topic("notes", (0,), replicas), settings, brokers)
    assert [each.level for each in found] == levels


async def test_a_consumer_that_lags(kafka: Kafka, kafka_bootstrap: str) -> None:
    await create(kafka, kafka_bootstrap)
    service = on_kafka(kafka)
    assert not await said(topics.consumers, service, late=timedelta(0))
    await kafka.send([Record("notes", "k", (), b"{}")] * 3)
    found = await said(topics.consumers, service, late=timedelta(microseconds=1))
    assert f"warning consumer {kafka.group('notes')}: 3 records of topic {kafka.topic('notes')} wait" in found


async def test_a_broker_that_is_away_keeps_no_other_check_from_asking(postgres: Service) -> None:
    found = await examine(Case(postgres, nothing))
    assert any(each.about == "check of topics" and "could not be made: kafka" in each.what for each in found)
    assert any(each.about == "relay kafka" for each in found)


async def test_queues_that_are_missing_and_dead_letters(aws_endpoint: str) -> None:
    prefix = f"t{uuid4().hex[:8]}-"
    settings = ServiceSettings(aws_endpoint_url=aws_endpoint, aws_prefix=prefix)
    aws = settings.aws()
    store = Postgres("postgresql://nobody@127.0.0.1:1/none")
    service = Service("mail", settings, store=store, publishes=[Mailed], brokers=[Sqs(aws)])
    assert "does not exist" in await said(queues.queues, service)

    asked = Queues(settings.aws())
    await asked.open()
    await asked.call("CreateQueue", QueueName=f"{prefix}letters")
    assert "has no dead-letter queue" in await said(queues.queues, service)
    await asked.provision("letters")
    assert not await said(queues.queues, service)
    await asked.call("SendMessage", QueueUrl=await asked.url(dead_letters_of("letters")), MessageBody="lost")
    assert "1 messages could not be handled" in await said(queues.queues, service)
    await asked.close()
