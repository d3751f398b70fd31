"""Orders over HTTP, on real parts and in memory; bad input changes nothing."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
import pytest_asyncio

from contracts.orders import OrderCancelled, OrderPlaced
from corelib.clock import ManualClock
from corelib.message import Event
from corelib.testing.desk import Desk
from corelib.testing.issuer import Issuer
from corelib.testing.running import free_port, running
from corelib.transaction import channels_of
from svc_order.app import build
from svc_order.domain import Price
from svc_order.settings import OrderSettings
from svc_order.store import Prices

LINE = {"product_id": "bread", "quantity": 2}
CATALOGUE = (
    ("bread", 250, "USD", True),
    ("milk", 120, "USD", True),
    ("brot", 250, "EUR", True),
    ("gone", 250, "USD", False),
    ("yacht", 10**12, "USD", True),
)
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Shop:
    session: aiohttp.ClientSession
    url: str
    issuer: Issuer
    desk: Desk

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

    async def published_for(self, user: UUID) -> list[Event]:
        """What was published for a user since anyone looked last."""
        return [event for event in await self.desk.published() if getattr(event, "user_id", None) == user]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(either: dict[str, Any]) -> AsyncIterator[Shop]:
    async with Issuer() as issuer:
        settings = OrderSettings(**either, port=free_port(), jwks_url=issuer.jwks_url, only="http")
        service = build(settings)
        store: Any = service.store
        async with running(service) as url, aiohttp.ClientSession() as session:
            for name, amount, currency, active in CATALOGUE:
                async with store.transaction() as tx:
                    Prices(store, 0).store(tx, Price(name, amount, currency, active=active), version=1, known=0)
            reader = store.outbox("desk", frozenset(channel.name for channel in channels_of(service.publishes)))
            await reader.acquire("desk")
            yield Shop(session, url, issuer, Desk(service, ManualClock(), reader))


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


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
    assert kinds(await shop.published_for(user)) == [OrderPlaced]
    status, again = await shop.place({"lines": [LINE]}, user=user, key=key)
    assert (status, again) == (201, first)
    assert await shop.published_for(user) == []
    status, problem = await shop.place({"lines": [{**LINE, "quantity": 3}]}, user=user, key=key)
    assert (status, problem["type"]) == (422, "urn:souk:problem:idempotency-key-reused")
    assert len(await shop.orders_of(user)) == 1


async def test_a_replay_says_that_it_is_one_and_where_the_order_is(shop: Shop) -> None:
    headers = {"Authorization": f"Bearer {shop.issuer.token(uuid4())}", "Idempotency-Key": str(uuid4())}

    async def place() -> tuple[int, str, str | None]:
        async with shop.session.post(f"{shop.url}/api/v1/orders", json={"lines": [LINE]}, headers=headers) as answer:
            order_id = (await answer.json())["order_id"]
            assert answer.headers["Location"] == f"/api/v1/orders/{order_id}"
            return answer.status, order_id, answer.headers.get("Idempotency-Replayed")

    status, order_id, replayed = await place()
    assert (status, replayed) == (201, None)
    assert await place() == (201, order_id, "true")


async def test_two_users_may_choose_the_same_key(shop: Shop) -> None:
    ann, bob, key = uuid4(), uuid4(), str(uuid4())
    orders = [(await shop.place({"lines": [LINE]}, user=user, key=key))[1]["order_id"] for user in (ann, bob)]
    assert len(set(orders)) == 2
    assert [order["order_id"] for order in await shop.orders_of(bob)] == orders[1:]


async def test_one_key_at_the_same_time_is_one_order_and_the_rest_is_told_to_wait(shop: Shop) -> None:
    user, key = uuid4(), str(uuid4())
    answers = await asyncio.gather(*(shop.place({"lines": [LINE]}, user=user, key=key) for _ in range(12)))
    statuses = {status for status, _ in answers}
    assert 201 in statuses
    assert statuses <= {201, 409}
    assert len({body["order_id"] for status, body in answers if status == 201}) == 1
    assert {body["type"] for status, body in answers if status == 409} <= {"urn:souk:problem:request-in-flight"}
    assert len(await shop.orders_of(user)) == 1
    assert kinds(await shop.published_for(user)) == [OrderPlaced]


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
    assert kinds(await shop.published_for(user)) == [OrderPlaced, OrderCancelled]
    status, problem = await shop.call("POST", path, user=user)
    assert (status, problem["type"]) == (409, "urn:souk:problem:order-final")
    assert await shop.published_for(user) == []


async def test_a_foreign_order_is_not_cancelled(shop: Shop) -> None:
    ann, bob = uuid4(), uuid4()
    _, order = await shop.place({"lines": [LINE]}, user=ann)
    assert (await shop.call("POST", f"/api/v1/orders/{order['order_id']}/cancel", user=bob))[0] == 404
    assert [one["status"] for one in await shop.orders_of(ann)] == ["pending"]
    assert kinds(await shop.published_for(ann)) == [OrderPlaced]


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
        ({"lines": [{**LINE, "quantity": True}]}, 422, "quantity"),
        ({"lines": [{**LINE, "quantity": None}]}, 422, "quantity"),
        ({"lines": [{"product_id": "bread"}]}, 422, "quantity"),
        ({"lines": [{**LINE, "product_id": ""}]}, 422, "product_id"),
        ({"lines": [{**LINE, "product_id": 7}]}, 422, "product_id"),
        ({"lines": [{**LINE, "product_id": "x" * 65}]}, 422, "product_id"),
        ({"lines": [{**LINE, "product_id": "a\0b"}]}, 422, "NUL"),
        ({"lines": [{**LINE, "product_id": f"p{n}"} for n in range(101)]}, 422, "at most 100"),
        ({"lines": [LINE, {**LINE, "product_id": "brot"}]}, 422, "one currency"),
        ({"lines": [{**LINE, "product_id": "gone"}]}, 422, "no longer sold"),
        ({"lines": [{**LINE, "product_id": "yacht"}]}, 422, "too large"),
        ({"lines": [LINE], "total": {"amount": 1, "currency": "USD"}}, 422, "/total"),
        ({"lines": [LINE], "user_id": str(uuid4())}, 422, "/user_id"),
        ({"lines": "bread"}, 422, "/lines"),
        ([LINE], 422, ""),
        (b"{", 400, ""),
        (b"\xff\xfe", 400, ""),
        (b"[" * 200_000, 400, ""),
        (b'{"lines": [{"product_id": "\\ud800", "quantity": 1}]}', 400, ""),
        (b'{"lines": NaN}', 422, "/lines"),
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
    assert await shop.published_for(user) == []


async def test_ten_megabytes_are_refused_before_they_are_read(shop: Shop) -> None:
    body = io.BytesIO(b'{"lines": "' + b"x" * 10_000_000 + b'"}')
    headers = {"Authorization": f"Bearer {shop.issuer.token(uuid4())}", "Content-Type": "application/json"}
    async with shop.session.post(f"{shop.url}/api/v1/orders", data=body, headers=headers) as answer:
        assert (answer.status, answer.content_type) == (413, "application/problem+json")


@pytest.mark.parametrize(
    ("body", "status"), [({"lines": [LINE, LINE]}, 422), ({"lines": [{**LINE, "quantity": -1}]}, 422), (b"{", 400)]
)
async def test_a_bad_cart_leaves_the_old_one(shop: Shop, body: Any, status: int) -> None:
    user = uuid4()
    await shop.call("PUT", "/api/v1/carts/me", {"lines": [LINE]}, user=user)
    assert (await shop.call("PUT", "/api/v1/carts/me", body, user=user))[0] == status
    assert (await shop.call("GET", "/api/v1/carts/me", user=user))[1]["lines"][0]["quantity"] == 2


async def test_the_wrong_content_type_is_refused(shop: Shop) -> None:
    user = uuid4()
    headers = {"Content-Type": "text/plain"}
    status, _ = await shop.call("POST", "/api/v1/orders", b'{"lines": []}', user=user, key="k", **headers)
    assert status == 415


async def test_a_key_is_required(shop: Shop) -> None:
    status, problem = await shop.call("POST", "/api/v1/orders", {"lines": [LINE]}, user=uuid4())
    assert (status, problem["type"]) == (400, "urn:souk:problem:idempotency-key-required")


@pytest.mark.parametrize("key", ["k" * 256, "a key", "clé"])
async def test_a_key_that_is_none_is_refused(shop: Shop, key: str) -> None:
    user = uuid4()
    status, problem = await shop.place({"lines": [LINE]}, user=user, key=key)
    assert (status, problem["type"]) == (400, "urn:souk:problem:idempotency-key-required")
    assert await shop.orders_of(user) == []


@pytest.mark.parametrize(
    "authorization", [None, "Bearer", "Bearer a.b.c", "Basic dTpw", "expired", "someone else's", "unsigned"]
)
async def test_nobody_orders_without_a_token_of_ours(shop: Shop, authorization: str | None) -> None:
    user = uuid4()
    made = {
        "expired": f"Bearer {shop.issuer.token(user, minutes=-1)}",
        "someone else's": f"Bearer {Issuer().token(user)}",
        "unsigned": f"Bearer {unsigned(shop.issuer.token(user))}",
    }
    headers = {"Authorization": made.get(authorization, authorization)} if authorization else {}
    status, problem = await shop.call("POST", "/api/v1/orders", {"lines": [LINE]}, user=None, key="k", **headers)
    assert (status, problem["status"]) == (401, 401)
    assert await shop.orders_of(user) == []


def unsigned(token: str) -> str:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode().rstrip("=")
    return f"{header}.{token.split('.')[1]}."


def cursor(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


async def test_a_cursor_that_is_none_is_refused(shop: Shop) -> None:
    user = uuid4()
    mine = {"order_id": str(uuid4()), "user_id": str(user), "placed_at": "2026-01-01T00:00:00+00:00"}
    wrong = [
        "x",
        "%FF",
        cursor([]),
        cursor({**mine, "order_id": 7}),
        cursor({**mine, "more": ""}),
        cursor({**mine, "user_id": str(uuid4())}),
        cursor({**mine, "order_id": ""}),
        cursor({**mine, "placed_at": ""}),
    ]
    assert (await shop.call("GET", f"/api/v1/orders?cursor={cursor(mine)}", user=user))[0] == 200
    for one in wrong:
        status, problem = await shop.call("GET", f"/api/v1/orders?cursor={one}", user=user)
        assert (status, "/cursor" in problem["detail"]) == (422, True), one


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=-1", "page=2", f"cursor={'x' * 1_001}"])
async def test_a_bad_query_is_refused(shop: Shop, query: str) -> None:
    assert (await shop.call("GET", f"/api/v1/orders?{query}", user=uuid4()))[0] == 422


async def test_an_id_that_is_none_is_not_found(shop: Shop) -> None:
    assert (await shop.call("GET", "/api/v1/orders/..%2f", user=uuid4()))[0] == 404
    assert (await shop.call("GET", "/api/v1/orders/42", user=uuid4()))[0] == 404
