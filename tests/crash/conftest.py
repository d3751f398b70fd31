"""Servers that the tests of this room may kill."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from crash.stage import Servers, servers


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def own_servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    async with servers(tmp_path_factory.mktemp("crash")) as running:
        yield running
