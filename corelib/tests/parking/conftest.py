"""Parking lots on every store, each as several replicas see it."""

from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest
import pytest_asyncio

from corelib.aws.clients import Aws
from corelib.clock import SystemClock
from corelib.dynamo.store import Dynamo
from corelib.memory.database import Database
from corelib.memory.store import Memory
from corelib.postgres.store import Postgres
from corelib.store import Store
from corelib.transaction import Origin
from parking.counted import Counted, Open


@pytest_asyncio.fixture(params=["postgres", "dynamodb", "memory"])
async def replica(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """Open any number of stores as replicas of one service would."""
    opened: list[Store] = []
    name = f"t{uuid4().hex[:10]}"
    if request.param == "postgres":
        dsn = request.getfixturevalue("postgres_dsn")
        build: Callable[[], Store] = lambda: Postgres(dsn, schema=name)  # noqa: E731 -- one of three
    elif request.param == "memory":
        database = Database()
        build = lambda: Memory(database=database)  # noqa: E731 -- one of three
    else:
        endpoint = request.getfixturevalue("aws_endpoint")
        build = lambda: Dynamo("shop", Aws(endpoint_url=endpoint, prefix=f"{name}-"))  # noqa: E731 -- one of three

    async def open_one() -> Store:
        store = build()
        if not opened:
            await store.provision()
        await store.open(Origin("test", SystemClock(), frozenset({Counted})))
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        await store.close()


@pytest_asyncio.fixture
async def store(replica: Open) -> Store:
    return await replica()
