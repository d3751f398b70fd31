"""Stores and services of their own."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from corelib.aws.clients import Aws
from corelib.config import ServiceSettings
from corelib.dynamo.store import Dynamo
from corelib.kafka.broker import Kafka
from corelib.memory.store import Memory
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.store import Store
from replay.steps import LAB, LEFT, ORIGIN, RIGHT, Came, Went


@pytest_asyncio.fixture(params=["postgres", "dynamodb"])
async def store(request: pytest.FixtureRequest, database: str, aws_endpoint: str) -> AsyncIterator[Store]:
    name, more = f"t{uuid4().hex[:12]}", "&" if "?" in database else "?"
    stores: dict[str, Store] = {
        "postgres": Postgres(database, schema=name),
        "serializable": Postgres(f"{database}{more}default_transaction_isolation=serializable", schema=name),
        "dynamodb": Dynamo("replay", Aws(endpoint_url=aws_endpoint, prefix=name)),
        "memory": Memory(),
    }
    store = stores[request.param]
    await store.provision()
    await store.open(ORIGIN)
    yield store
    await store.close()


@pytest_asyncio.fixture
async def kafka(kafka_bootstrap: str) -> AsyncIterator[Kafka]:
    kafka = Kafka(kafka_bootstrap, prefix=f"t{uuid4().hex[:8]}-")
    await kafka.open()
    await kafka.provision([LEFT, RIGHT, LAB])
    yield kafka
    await kafka.close()


@pytest.fixture
def service(store: Store, kafka: Kafka) -> Service:
    return Service("replay", ServiceSettings(), store=store, publishes=[Went, Came], brokers=[kafka])
