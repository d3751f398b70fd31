"""A service whose database or broker is amiss: it says what, loses nothing, is not ready but alive, and goes on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from corelib.actor import Actor, receive
from corelib.aws.clients import Aws
from corelib.config import ServiceSettings
from corelib.dynamo.store import Dynamo
from corelib.errors import Unavailable
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Event, Record, Transport
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.sqs.broker import Sqs
from corelib.testing.running import free_port, running, until
from corelib.transaction import Transaction
from devstack.gate import Gate

NOTES = Channel("notes", partitions=1)
MAILS = Channel("mails", Transport.SQS)


class Noted(Event, type="test.noted.v1", channels=(NOTES,), key="name"):
    name: str


class Mailed(Event, type="test.mailed.v1", channels=(MAILS,), key="name"):
    name: str


@dataclass(frozen=True)
class Reader(Actor):
    read: list[str] = field(default_factory=list)

    @receive
    async def mailed(self, event: Mailed, _: Transaction) -> None:
        self.read.append(event.name)


@pytest_asyncio.fixture
async def admin(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def own_role(admin: asyncpg.Connection, postgres_dsn: str) -> AsyncIterator[tuple[str, str]]:
    """A database of its own, and the DSN of a role that owns it."""
    name = f"t{uuid4().hex[:12]}"
    await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    await admin.execute(f"CREATE DATABASE {name} OWNER {name}")
    parts = urlsplit(postgres_dsn)
    yield name, parts._replace(netloc=f"{name}:x@{parts.hostname}:{parts.port}", path=f"/{name}").geturl()


def service_on(dsn: str, kafka: Kafka) -> Service:
    settings = ServiceSettings(port=free_port(), log_format="text")
    return Service("notes", settings, store=Postgres(dsn, schema="notes"), publishes=[Noted], brokers=[kafka])


def broker(bootstrap: str) -> Kafka:
    return Kafka(bootstrap, prefix=f"t{uuid4().hex[:8]}-")


async def publish(service: Service, name: str) -> None:
    async with service.store.transaction() as tx:
        tx.publish(Noted(name=name))


async def health(url: str) -> tuple[int, dict[str, Any]]:
    """Return readiness; liveness must never fail."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/livez") as alive:
            assert alive.status == 200
        async with session.get(f"{url}/readyz") as ready:
            return ready.status, await ready.json()


async def until_ready(url: str) -> None:
    async def ready() -> bool:
        return (await health(url))[0] == 200

    await until(ready)


async def until_told(url: str, dependency: str, said: str) -> None:
    async def told() -> bool:
        status, body = await health(url)
        return status == 503 and said in body.get("checks", {}).get(dependency, "")

    await until(told)


async def delivered(service: Service) -> None:
    """Wait until nothing waits for the relay."""

    async def empty() -> bool:
        return not (await service.store.relay_state("kafka", frozenset({"notes"}))).lag_seconds

    await until(empty)


@asynccontextmanager
async def on_own_role(own_role: tuple[str, str], kafka: Kafka) -> AsyncIterator[tuple[Service, str]]:
    service = service_on(own_role[1], kafka)
    await service.provision()
    async with running(service) as url:
        await until_ready(url)
        yield service, url


async def test_a_database_that_becomes_read_only(
    own_role: tuple[str, str], admin: asyncpg.Connection, kafka_bootstrap: str
) -> None:
    name, _ = own_role
    async with on_own_role(own_role, broker(kafka_bootstrap)) as (service, url):
        await admin.execute(f"ALTER ROLE {name} SET default_transaction_read_only = on")
        await service.store.pool.expire_connections()  # type: ignore[attr-defined]  # PostgreSQL's
        with pytest.raises(Unavailable, match="read-only"):
            await publish(service, "lost?")
        await until_told(url, "postgres", "read-only")
        await admin.execute(f"ALTER ROLE {name} RESET default_transaction_read_only")
        await admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'")
        await until_ready(url)
        await publish(service, "again")
        await delivered(service)


async def test_a_role_that_loses_its_rights(own_role: tuple[str, str], kafka_bootstrap: str) -> None:
    name, dsn = own_role
    owner = await asyncpg.connect(dsn)
    async with on_own_role(own_role, broker(kafka_bootstrap)) as (service, url):
        await owner.execute(f"REVOKE INSERT ON ALL TABLES IN SCHEMA notes FROM {name}")
        with pytest.raises(Unavailable, match="the role lacks a right"):
            await publish(service, "lost?")
        await until_told(url, "postgres", "may not write to inbox, outbox_0")
        await owner.execute(f"GRANT INSERT ON ALL TABLES IN SCHEMA notes TO {name}")
        await until_ready(url)
        await owner.execute(f"REVOKE USAGE, UPDATE ON SEQUENCE notes.outbox_id FROM {name}")
        await until_told(url, "postgres", "may not write to outbox_id")
        await owner.execute(f"GRANT USAGE ON SEQUENCE notes.outbox_id TO {name}")
        await until_ready(url)
        await publish(service, "again")
        await delivered(service)
    await owner.close()


async def test_a_disk_that_is_full(own_role: tuple[str, str], kafka_bootstrap: str) -> None:
    owner = await asyncpg.connect(own_role[1])
    # The error that PostgreSQL raises when it cannot extend a file, raised where it would be.
    await owner.execute(
        """CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"""
    )
    async with on_own_role(own_role, broker(kafka_bootstrap)) as (service, url):
        await owner.execute(
            "CREATE TRIGGER full_disk BEFORE INSERT ON notes.outbox_0 FOR EACH ROW EXECUTE FUNCTION full_disk()"
        )
        with pytest.raises(Unavailable, match="its disk is full"):
            await publish(service, "lost?")
        await until_told(url, "postgres", "its disk is full")
        await owner.execute("DROP TRIGGER full_disk ON notes.outbox_0")
        await until_ready(url)
        await publish(service, "again")
        await delivered(service)
    await owner.close()


@pytest_asyncio.fixture
async def gate(aws_endpoint: str) -> AsyncIterator[Gate]:
    async with Gate(aws_endpoint) as gate:
        yield gate


@asynccontextmanager
async def on_aws(gate: Gate, reader: Reader, **options: Any) -> AsyncIterator[tuple[Service, str]]:
    aws = Aws(endpoint_url=gate.address, prefix=f"t{uuid4().hex[:8]}-")
    service = Service(
        "mails",
        ServiceSettings(port=free_port(), log_format="text", provision=True),
        store=Dynamo("mails", aws),
        brokers=[Sqs(aws)],
        actors=[reader],
        publishes=[Mailed],
        **options,
    )
    async with running(service) as url:
        await until_ready(url)
        yield service, url


async def mail(service: Service, name: str) -> None:
    async with service.store.transaction() as tx:
        tx.publish(Mailed(name=name))


@pytest.mark.parametrize("refused", ["TransactWriteItems", "Query"])
async def test_a_role_that_loses_its_rights_to_a_table(gate: Gate, refused: str) -> None:
    reader = Reader()
    async with on_aws(gate, reader) as (service, url):
        gate.refuse_all("AccessDeniedException", refused)
        if refused == "TransactWriteItems":
            with pytest.raises(Unavailable, match="the role lacks a right"):
                await mail(service, "lost?")
        await until_told(url, "dynamodb", "the role lacks a right: grant it what AWS names here")
        gate.open()
        await until_ready(url)
        await mail(service, "again")
        await until(lambda: reader.read == ["again"])


@pytest.mark.parametrize("refused", ["ReceiveMessage", "SendMessageBatch"])
async def test_a_role_that_loses_its_rights_to_a_queue(gate: Gate, refused: str) -> None:
    reader = Reader()
    async with on_aws(gate, reader) as (service, url):
        gate.refuse_all("KmsAccessDenied" if refused == "SendMessageBatch" else "AccessDenied", refused)
        await mail(service, "early")
        await until_told(url, "sqs", refused)
        gate.open()
        await until_ready(url)
        await until(lambda: reader.read == ["early"])


async def test_a_broker_without_the_topic(database: str, kafka_bootstrap: str) -> None:
    kafka = broker(kafka_bootstrap)
    service = service_on(database, kafka)
    await service.store.provision()
    async with running(service) as url:
        await until_told(url, "kafka", f"{kafka.topic('notes')} does not exist")
        await publish(service, "early")
        await kafka.provision([NOTES])
        await until_ready(url)
        await delivered(service)
        assert not service.health.failed_parts


async def test_a_topic_that_is_not_there_is_named_by_whoever_sends(
    kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = broker(kafka_bootstrap)
    await kafka.open()
    monkeypatch.setattr("corelib.kafka.broker._METADATA_SECONDS", 1.0)
    assert await kafka.missing([NOTES]) == [kafka.topic("notes")]
    with pytest.raises(Unavailable, match=f"topic {kafka.topic('notes')} does not exist"):
        await kafka.send([Record("notes", "k", (), b"{}")])
    await kafka.close()


async def test_a_topic_that_is_not_there_holds_up_no_record_of_another(
    kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corelib.kafka.broker._METADATA_SECONDS", 1.0)
    kafka, other = broker(kafka_bootstrap), Channel("other", partitions=1)
    await kafka.provision([other])
    await kafka.open()
    records = [Record(name, f"k{n}", (), b"{}") for n, name in enumerate(["notes", "other", "notes", "other"])]
    with capture_logs() as logs:
        assert await kafka.send(records) == [False, True, False, True]
    assert [each["topic"] for each in logs if "wait for their topic" in each["event"]] == [kafka.topic("notes")]
    await kafka.provision([NOTES])
    assert await kafka.send([records[0], records[2]]) == [True, True]
    await kafka.close()
