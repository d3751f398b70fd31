"""Orders over HTTP, on real parts; bad input changes nothing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
import pytest_asyncio

from corelib.testing import Issuer, free_port, running
from svc_order.app import build
from svc_order.domain import Price
from svc_order.settings import OrderSettings
from svc_order.store import Prices

LINE = {"product_id": "bread", "quantity": 2}
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Shop:
    session: aiohttp.ClientSession
    url: str
    issuer: Issuer
    store: Any

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: UUID | None = None,
        key: str | None = None,
        **headers: str,
    ) -> tuple[int, Any]:
        if user:
            headers["Authorization"] = f"Bearer {self.issuer.token(user)}"
        if key:
            headers["Idempotency-Key"] = key
        given = {"data": body} if isinstance(body, bytes | str) else {"json": body}
        if isinstance(body, bytes | str):
            headers.setdefault("Content-Type", "application/json")
        async with self.session.request(method, f"{self.url}{path}", headers=headers, **given) as answer:
            return answer.status, await answer.json(content_type=None) if await answer.read() else None

    async def place(self, body: Any, *, user: UUID, key: str | None = None) -> tuple[int, Any]:
        return await self.call("POST", "/api/v1/orders", body, user=user, key=key or str(uuid4()))

    async def orders_of(self, user: UUID) -> list[Any]:
        _, page = await self.call("GET", "/api/v1/orders", user=user)
        return list(page["items"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(surroundings: dict[str, Any], kafka_bootstrap: str) -> AsyncIterator[Shop]:
    async with Issuer() as issuer:
        settings = OrderSettings(
            **surroundings, kafka_bootstrap=kafka_bootstrap, port=free_port(), jwks_url=issuer.jwks_url, only="http"
        )
        service = build(settings)
        store: Any = service.store
        async with running(service) as url, aiohttp.ClientSession() as session:
            for name, amount in (("bread", 250), ("milk", 120)):
                async with store.transaction() as tx:
                    Prices(store, 0).store(tx, Price(name, amount, "USD", active=True), version=1, known=0)
            yield Shop(session, url, issuer, store)


async def test_an_order_is_priced_by_us_and_shown_to_its_owner_only(shop: Shop) -> None:
    ann, bob = uuid4(), uuid4()
    status, order = await shop.place({"lines": [LINE, {"product_id": "milk", "quantity": 1}]}, user=ann)
    assert (status, order["status"], order["total"]) == (201, "pending", {"amount": 620, "currency": "USD"})
    path = f"/api/v1/orders/{order['order_id']}"
    assert (await shop.call("GET", path, user=ann))[1]["lines"][0]["unit_price"]["amount"] == 250
    assert (await shop.call("GET", path, user=bob))[0] == 404
    assert (await shop.call("POST", f"{path}/cancel", user=bob))[0] == 404
    assert (await shop.call("GET", path))[0] == 401


async def test_a_repeated_key_is_one_order_and_another_body_is_refused(shop: Shop) -> None:
    user, key = uuid4(), str(uuid4())
    _, first = await shop.place({"lines": [LINE]}, user=user, key=key)
    status, again = await shop.place({"lines": [LINE]}, user=user, key=key)
    assert (status, again) == (201, first)
    status, problem = await shop.place({"lines": [{**LINE, "quantity": 3}]}, user=user, key=key)
    assert (status, problem["type"]) == (422, "urn:souk:problem:idempotency-key-reused")
    assert len(await shop.orders_of(user)) == 1


async def test_a_refused_order_stores_nothing_under_its_key(shop: Shop) -> None:
    user, key = uuid4(), str(uuid4())
    assert (await shop.place({"lines": [{"product_id": "unknown", "quantity": 1}]}, user=user, key=key))[0] == 422
    assert (await shop.place({"lines": [LINE]}, user=user, key=key))[0] == 201


async def test_an_order_is_cancelled_once(shop: Shop) -> None:
    user = uuid4()
    _, order = await shop.place({"lines": [LINE]}, user=user)
    path = f"/api/v1/orders/{order['order_id']}/cancel"
    status, after = await shop.call("POST", path, user=user)
    assert (status, after["status"]) == (202, "cancelled")
    status, problem = await shop.call("POST", path, user=user)
    assert (status, problem["type"]) == (409, "urn:souk:problem:order-final")


async def test_orders_come_in_pages_newest_first(shop: Shop) -> None:
    user = uuid4()
    placed = [(await shop.place({"lines": [LINE]}, user=user))[1]["order_id"] for _ in range(3)]
    _, page = await shop.call("GET", "/api/v1/orders?limit=2", user=user)
    _, rest = await shop.call("GET", f"/api/v1/orders?limit=2&cursor={page['next']}", user=user)
    assert [order["order_id"] for order in (*page["items"], *rest["items"])] == placed[::-1]
    assert (await shop.call("GET", f"/api/v1/orders?cursor={page['next']}", user=uuid4()))[0] == 422


async def test_a_cart_is_kept_and_priced(shop: Shop) -> None:
    user = uuid4()
    status, cart = await shop.call("PUT", "/api/v1/carts/me", {"lines": [LINE]}, user=user)
    assert (status, cart["total"]["amount"]) == (200, 500)
    assert (await shop.call("GET", "/api/v1/carts/me", user=user))[1] == cart
    assert (await shop.call("PUT", "/api/v1/carts/me", {"lines": [{**LINE, "product_id": "?"}]}, user=user))[0] == 422
    assert (await shop.call("GET", "/api/v1/carts/me", user=user))[1] == cart
    assert (await shop.call("DELETE", "/api/v1/carts/me", user=user))[0] == 204
    assert (await shop.call("GET", "/api/v1/carts/me", user=user))[1]["lines"] == []


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"lines": [LINE], "note": "x"}, 422, "/note"),
        ({"lines": [{**LINE, "unit_price": {"amount": 1, "currency": "USD"}}]}, 422, "unit_price"),
        ({"lines": []}, 422, "/lines"),
        ({}, 422, "/lines"),
        ({"lines": [LINE, LINE]}, 422, "twice"),
        ({"lines": [{**LINE, "quantity": 0}]}, 422, "quantity"),
        ({"lines": [{**LINE, "quantity": -1}]}, 422, "quantity"),
        ({"lines": [{**LINE, "quantity": 10**12}]}, 422, "quantity"),
        ({"lines": [{**LINE, "quantity": "2"}]}, 422, "quantity"),
        ({"lines": [{**LINE, "quantity": 1.5}]}, 422, "quantity"),
        ({"lines": [{**LINE, "product_id": "nothing"}]}, 422, "unknown product"),
        ({"lines": "bread"}, 422, "/lines"),
        ([LINE], 422, ""),
        (b"{", 400, ""),
        (b"\xff\xfe", 400, ""),
        (b"", 400, ""),
        (b" " * 300_000, 413, ""),
    ],
)
async def test_bad_input_is_a_problem_document_and_changes_nothing(
    shop: Shop, body: Any, status: int, says: str
) -> None:
    user = uuid4()
    got, problem = await shop.place(body, user=user)
    assert (got, problem["status"]) == (status, status)
    assert says in str(problem)
    assert await shop.orders_of(user) == []


async def test_the_wrong_content_type_is_refused(shop: Shop) -> None:
    user = uuid4()
    headers = {"Content-Type": "text/plain"}
    status, _ = await shop.call("POST", "/api/v1/orders", b'{"lines": []}', user=user, key="k", **headers)
    assert status == 415


async def test_a_key_is_required(shop: Shop) -> None:
    status, problem = await shop.call("POST", "/api/v1/orders", {"lines": [LINE]}, user=uuid4())
    assert (status, problem["type"]) == (400, "urn:souk:problem:idempotency-key-required")


async def test_an_id_that_is_none_is_not_found(shop: Shop) -> None:
    assert (await shop.call("GET", "/api/v1/orders/..%2f", user=uuid4()))[0] == 404
    assert (await shop.call("GET", "/api/v1/orders/42", user=uuid4()))[0] == 404
