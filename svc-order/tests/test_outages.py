"""What a caller is told while a dependency is down: 503, when to come back, and nothing half done."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from corelib.testing.issuer import Issuer
from corelib.testing.running import free_port, running
from devstack.cable import Cable
from svc_order.app import build
from svc_order.domain import Price
from svc_order.settings import OrderSettings
from svc_order.store import Prices

ORDER = {"lines": [{"product_id": "bread", "quantity": 1}]}


@dataclass
class Shop:
    session: aiohttp.ClientSession
    url: str
    issuer: Issuer
    database: Cable
    keys: Cable

    async def ask(
        self, method: str, path: str, body: Any = None, *, user: UUID | None = None, key: str = ""
    ) -> tuple[int, Any, Any]:
        headers = {"Authorization": f"Bearer {self.issuer.token(user)}"} if user else {}
        if key:
            headers["Idempotency-Key"] = key
        async with self.session.request(method, f"{self.url}{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers


@pytest.fixture
async def shop(surroundings: dict[str, Any], kafka_bootstrap: str) -> AsyncIterator[Shop]:
    async with Issuer() as issuer, Cable(surroundings["aws_endpoint_url"]) as aws, Cable(issuer.jwks_url) as keys:
        given = {**surroundings, "aws_endpoint_url": aws.address, "jwks_url": keys.address}
        settings = OrderSettings(**given, kafka_bootstrap=kafka_bootstrap, port=free_port(), only="http")
        service = build(settings)
        store: Any = service.store
        async with running(service) as url, aiohttp.ClientSession() as session:
            prices = Prices(store, 0)
            if not await prices.version("bread"):
                async with store.transaction() as tx:
                    prices.store(tx, Price("bread", 250, "USD", active=True), version=1, known=0)
            yield Shop(session, url, issuer, aws, keys)


def is_unavailable(status: int, problem: Any, headers: Any) -> bool:
    return (
        status == 503
        and int(headers["Retry-After"]) > 0
        and problem["type"] == "urn:souk:problem:dependency-unavailable"
        and headers["Content-Type"].startswith("application/problem+json")
    )


async def test_without_its_database_it_takes_no_order_and_the_same_key_serves_afterwards(shop: Shop) -> None:
    user, key = uuid4(), str(uuid4())
    assert (await shop.ask("GET", "/api/v1/orders", user=user))[0] == 200
    await shop.database.pull()
    for method, path in (("POST", "/api/v1/orders"), ("GET", "/api/v1/orders"), ("GET", f"/api/v1/orders/{uuid4()}")):
        assert is_unavailable(*await shop.ask(method, path, ORDER, user=user, key=key)), path
    await shop.database.plug()
    _, page, _ = await shop.ask("GET", "/api/v1/orders", user=user)
    assert page["items"] == []
    assert (await shop.ask("POST", "/api/v1/orders", ORDER, user=user, key=key))[0] == 201


async def test_orders_that_are_cut_off_half_way_are_placed_once_when_asked_again(shop: Shop) -> None:
    user, keys = uuid4(), [str(uuid4()) for _ in range(24)]

    async def place(key: str) -> int:
        return (await shop.ask("POST", "/api/v1/orders", ORDER, user=user, key=key))[0]

    first = [asyncio.create_task(place(key)) for key in keys]
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    await shop.database.pull()
    statuses = await asyncio.gather(*first)
    assert set(statuses) <= {201, 503}
    await shop.database.plug()
    assert {await place(key) for key in keys} == {201}
    _, page, _ = await shop.ask("GET", "/api/v1/orders?limit=100", user=user)
    assert len(page["items"]) == len(keys)


async def test_without_its_database_it_is_alive_but_not_ready(shop: Shop) -> None:
    assert (await shop.ask("GET", "/readyz"))[0] == 200
    await shop.database.pull()
    deadline = time.monotonic() + 10
    while (await shop.ask("GET", "/readyz"))[0] != 503:
        assert time.monotonic() < deadline, "still ready"
    assert (await shop.ask("GET", "/livez"))[0] == 200


async def test_without_the_keys_a_token_is_neither_believed_nor_refused(shop: Shop) -> None:
    await shop.keys.pull()
    assert is_unavailable(*await shop.ask("POST", "/api/v1/orders", ORDER, user=uuid4(), key="k"))
    await shop.keys.plug()
    assert (await shop.ask("POST", "/api/v1/orders", ORDER, user=uuid4(), key="k"))[0] == 201
    await shop.keys.pull()
    assert (await shop.ask("POST", "/api/v1/orders", ORDER, user=uuid4(), key="k"))[0] == 201
