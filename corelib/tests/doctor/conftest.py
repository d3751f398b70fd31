"""Services on stores and brokers of their own."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from corelib.aws.clients import Aws
from corelib.clock import SystemClock
from corelib.config import ServiceSettings
from corelib.dynamo.store import Dynamo
from corelib.kafka.broker import Kafka
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.store import Store
from corelib.transaction import Origin
from doctor.notes import Noted


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


@pytest_asyncio.fixture
async def tenant(database: str) -> AsyncIterator[tuple[Service, asyncpg.Connection]]:
    """A service whose role was granted the rights on the rows of tables that somebody else made."""
    schema, role = f"t{uuid4().hex[:12]}", f"r{uuid4().hex[:12]}"
    owner = Postgres(database, schema=schema)
    await owner.provision()
    await owner.open(Origin("notes", SystemClock(), frozenset()))
    await owner.close()
    connection = await asyncpg.connect(database)
    await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'none' NOINHERIT")
    await connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    await connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}")
    await connection.execute(f"GRANT USAGE ON SEQUENCE {schema}.outbox_id TO {role}")
    parts = urlsplit(database)
    store = Postgres(parts._replace(netloc=f"{role}:none@{parts.netloc.split('@')[1]}").geturl(), schema=schema)
    service = Service("notes", ServiceSettings(), store=store, publishes=[Noted], brokers=[Kafka("127.0.0.1:1")])
    await store.open(service.origin)
    yield service, connection
    await store.close()
    await connection.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")
    await connection.close()


@pytest_asyncio.fixture
async def kafka(kafka_bootstrap: str) -> AsyncIterator[Kafka]:
    kafka = Kafka(kafka_bootstrap, prefix=f"t{uuid4().hex[:8]}-")
    await kafka.open()
    yield kafka
    await kafka.close()
