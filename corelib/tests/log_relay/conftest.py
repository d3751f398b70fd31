"""An outbox and a cluster of one's own."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest_asyncio

from corelib.clock import SystemClock
from corelib.kafka.broker import Kafka
from corelib.postgres.store import Postgres
from corelib.transaction import Origin
from log_relay.notes import CHANNEL, Noted


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
