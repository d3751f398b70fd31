"""Stores on DynamoDB, as replicas of one service."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from corelib.aws.clients import Aws
from corelib.clock import ManualClock
from corelib.dynamo.store import Dynamo
from corelib.transaction import Origin
from dynamo.shop import CARTS, LINES, Mailed, Open, Placed


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def open_store(aws_endpoint: str, clock: ManualClock) -> AsyncIterator[Open]:
    """Open any number of stores as replicas of one service would: own clients, same tables."""
    prefix = f"t{uuid4().hex[:10]}-"
    opened: list[Dynamo] = []

    async def replica(endpoint: str = aws_endpoint, **options: Any) -> Dynamo:
        aws = Aws(endpoint_url=endpoint, prefix=prefix)
        store = Dynamo("shop", aws, tables=(CARTS, LINES), **options)
        if not opened:
            await store.provision()
        await store.open(Origin("shop", clock, frozenset({Placed, Mailed})))
        opened.append(store)
        return store

    yield replica
    for store in opened:
        await store.close()


@pytest_asyncio.fixture
async def store(open_store: Open) -> Dynamo:
    return await open_store()
