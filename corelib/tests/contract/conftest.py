"""Every store with every broker."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from contract.booked import LEDGER, MAILS
from contract.stand import CREATE, QUEUE, SEEN, TOPIC, Charged, Counted, Stand
from corelib.aws.clients import Aws
from corelib.broker import Broker
from corelib.clock import SystemClock
from corelib.dynamo.store import Dynamo
from corelib.kafka.broker import Kafka
from corelib.memory.broker import MemoryBroker
from corelib.memory.queues import MemoryQueues
from corelib.memory.store import Memory
from corelib.message import Transport
from corelib.postgres.store import Postgres
from corelib.sqs.broker import Sqs
from corelib.store import Store
from corelib.transaction import Origin


@pytest_asyncio.fixture(params=["postgres", "dynamodb", "memory"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    name = f"t{uuid4().hex[:10]}"
    store: Store
    if request.param == "postgres":
        store = Postgres(request.getfixturevalue("postgres_dsn"), schema=name, migrations=(CREATE,))
    elif request.param == "dynamodb":
        aws = Aws(endpoint_url=request.getfixturevalue("aws_endpoint"), prefix=f"{name}-")
        store = Dynamo("shop", aws, tables=(SEEN,))
    else:
        store = Memory(tables=(SEEN,))
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset({Counted, Charged})))
    yield store
    await store.close()


@pytest_asyncio.fixture(params=["kafka", "sqs", "memory", "memory-queue"])
async def stand(request: pytest.FixtureRequest, store: Store) -> AsyncIterator[Stand]:
    name = f"t{uuid4().hex[:10]}-"
    broker: Broker
    if request.param == "kafka":
        broker = Kafka(request.getfixturevalue("kafka_bootstrap"), prefix=name)
    elif request.param == "sqs":
        # Polls so short that a stop need not wait for one.
        broker = Sqs(Aws(endpoint_url=request.getfixturevalue("aws_endpoint"), prefix=name), poll_seconds=0)
    else:
        broker = MemoryBroker() if request.param == "memory" else MemoryQueues()
    channel = QUEUE if broker.name == Transport.SQS else TOPIC
    await broker.provision([channel])
    await broker.open()
    yield Stand(store, broker, channel)
    await broker.close()


@pytest_asyncio.fixture
async def kafka(kafka_bootstrap: str) -> AsyncIterator[Kafka]:
    kafka = Kafka(kafka_bootstrap, prefix=f"t{uuid4().hex[:10]}-")
    await kafka.provision([TOPIC])
    await kafka.open()
    yield kafka
    await kafka.close()


@pytest_asyncio.fixture
async def aws(aws_endpoint: str) -> AsyncIterator[Aws]:
    aws = Aws(endpoint_url=aws_endpoint, prefix=f"t{uuid4().hex[:10]}-")
    await aws.open()
    yield aws
    await aws.close()


@pytest_asyncio.fixture
async def sqs(aws: Aws) -> AsyncIterator[Sqs]:
    sqs = Sqs(aws, poll_seconds=1)
    await sqs.open()
    await sqs.provision([MAILS, LEDGER])
    yield sqs
    await sqs.close()
