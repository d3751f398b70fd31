"""One stack for all end-to-end tests: every part, on free ports, in a home of its own."""

from collections.abc import AsyncIterator
from functools import partial

import aiohttp
import pytest
import pytest_asyncio

from devstack.baskets import Product, Replay, load
from devstack.replay import in_parallel
from devstack.settings import StackSettings
from devstack.shopper import Shopper
from devstack.stack import Stack


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    running = Stack(StackSettings.on_free_ports(tmp_path_factory.mktemp("souk")))
    try:
        await running.up()
        running.supervise()
        yield running
    finally:
        await running.down()


@pytest.fixture(scope="session")
def replay() -> Replay:
    return load(60)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def admin(shopper: Shopper, stack: Stack) -> str:
    return await shopper.sign_in(stack.settings.admin_email, stack.settings.admin_password())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shopper(stack: Stack) -> AsyncIterator[Shopper]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        yield Shopper(session, stack.settings.gateway_url, salt="e2e")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def open_shop(shopper: Shopper, admin: str, replay: Replay) -> Shopper:
    """The shelves are full, the households registered, and a product 'scarce' has a single unit."""
    await shopper.stock_shelves(admin, [*replay.products, Product("scarce", "The last one", "", 500, 1)])
    households = {basket.household for basket in replay.baskets} | {"alice", "mallory"}
    await in_parallel([partial(shopper.register, who) for who in sorted(households)], 8)
    await shopper.until_sold([*(product.product_id for product in replay.products), "scarce"])
    return shopper
