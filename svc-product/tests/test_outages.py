"""What a caller is told while PostgreSQL is down: 503, when to come back, and nothing half done."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from corelib.testing.issuer import Issuer
from corelib.testing.running import free_port, running
from devstack.cable import Cable
from svc_product.app import build
from svc_product.settings import ProductSettings


@dataclass
class Shop:
    session: aiohttp.ClientSession
    url: str
    token: str
    database: Cable

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.session.request(method, f"{self.url}{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers


@pytest.fixture
async def shop(surroundings: dict[str, Any], kafka_bootstrap: str) -> AsyncIterator[Shop]:
    async with Issuer() as issuer, Cable(surroundings["postgres_dsn"]) as cable:
        settings = ProductSettings(
            **{**surroundings, "postgres_dsn": cable.address},
            kafka_bootstrap=kafka_bootstrap,
            port=free_port(),
            jwks_url=issuer.jwks_url,
            only="http",
        )
        async with running(build(settings)) as url, aiohttp.ClientSession() as session:
            yield Shop(session, url, issuer.token(uuid4(), "admin"), cable)


def is_unavailable(status: int, problem: Any, headers: Any) -> bool:
    return (
        status == 503
        and int(headers["Retry-After"]) > 0
        and problem["type"] == "urn:souk:problem:dependency-unavailable"
        and headers["Content-Type"].startswith("application/problem+json")
    )


async def test_without_its_database_it_changes_nothing_and_says_when_to_come_back(shop: Shop) -> None:
    product_id = f"p-{uuid4()}"
    body = {"product_id": product_id, "name": "Bread", "price": {"amount": 250, "currency": "USD"}, "stock": 5}
    path = f"/api/v1/products/{product_id}"
    assert (await shop.ask("GET", "/api/v1/products"))[0] == 200
    await shop.database.pull()
    for method, asked, sent in (
        ("GET", "/api/v1/products", None),
        ("GET", path, None),
        ("POST", "/api/v1/products", body),
        ("PUT", f"{path}/stock", {"on_hand": 1}),
    ):
        assert is_unavailable(*await shop.ask(method, asked, sent)), asked
    await shop.database.plug()
    assert (await shop.ask("GET", path))[0] == 404
    assert (await shop.ask("POST", "/api/v1/products", body))[0] == 201


async def test_without_its_database_it_is_alive_but_not_ready_and_ready_again_with_it(shop: Shop) -> None:
    async def becomes(status: int) -> None:
        deadline = time.monotonic() + 10
        while (await shop.ask("GET", "/readyz"))[0] != status:
            assert time.monotonic() < deadline, f"not {status}"

    await becomes(200)
    await shop.database.pull()
    await becomes(503)
    assert (await shop.ask("GET", "/livez"))[0] == 200
    await shop.database.plug()
    await becomes(200)
