"""What a client may get wrong: always a problem document that says what, never a 500, nothing changed."""

import io
import json
from typing import Any
from uuid import uuid4

import pytest

from devstack.shopper import Shopper

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(400)]

UNKNOWN = "5c1a3d5e-0000-4000-8000-000000000000"
ONE = {"lines": [{"product_id": "scarce", "quantity": 1}]}


def line(**fields: object) -> bytes:
    return json.dumps({"lines": [{"product_id": "scarce", "quantity": 1, **fields}]}).encode()


CASES: dict[str, tuple[bytes, int]] = {
    "broken JSON": (b'{"lines": [', 400),
    "not UTF-8": (b'{"lines": "\xff"}', 400),
    "an array": (b"[]", 422),
    "nothing": (b"", 400),
    "no lines": (b'{"lines": []}', 422),
    "unknown field": (b'{"lines": [{"product_id": "scarce", "quantity": 1}], "coupon": "x"}', 422),
    "a price from the client": (line(unit_price={"amount": 1, "currency": "USD"}), 422),
    "negative quantity": (line(quantity=-1), 422),
    "no quantity": (line(quantity=0), 422),
    "huge quantity": (line(quantity=10**18), 422),
    "fraction": (line(quantity=1.5), 422),
    "text for a number": (line(quantity="one"), 422),
    "unknown product": (line(product_id="no-such-product"), 422),
    "a product twice": (json.dumps({"lines": ONE["lines"] * 2}).encode(), 422),
    "nested too deep": (b"[" * 100_000, 400),
    "ten megabytes": (b'{"lines": "' + b"x" * 10_000_000 + b'"}', 413),
}


async def send(
    shop: Shopper, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, Any], str]:
    sent = {
        "Authorization": f"Bearer {shop.tokens['alice']}",
        "Content-Type": "application/json",
        "Idempotency-Key": str(uuid4()),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    async with shop.session.request(
        method, f"{shop.gateway}{path}", data=io.BytesIO(body) if body is not None else None, headers=sent
    ) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text else {}, answer.content_type


@pytest.mark.parametrize("case", CASES)
async def test_a_bad_order_is_refused_with_a_reason(open_shop: Shopper, case: str) -> None:
    body, expected = CASES[case]
    before = await send(open_shop, "GET", "/api/v1/orders?limit=1")
    status, problem, content_type = await send(open_shop, "POST", "/api/v1/orders", body)
    assert (status, content_type) == (expected, "application/problem+json"), problem
    assert problem["title"]
    assert problem["detail"]
    assert (await send(open_shop, "GET", "/api/v1/orders?limit=1"))[1]["items"] == before[1]["items"]


async def test_a_wrong_content_type_is_refused(open_shop: Shopper) -> None:
    status, _, kind = await send(open_shop, "POST", "/api/v1/orders", b"lines=1", Content_Type="text/plain")
    assert (status, kind) == (415, "application/problem+json")


async def test_an_order_without_a_key_is_refused(open_shop: Shopper) -> None:
    status, _, kind = await send(open_shop, "POST", "/api/v1/orders", json.dumps(ONE).encode(), Idempotency_Key="")
    assert (status, kind) == (400, "application/problem+json")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", f"/api/v1/orders/{UNKNOWN}", 404),
        ("GET", "/api/v1/orders/not-an-id", 404),
        ("GET", "/api/v1/products/no-such-product", 404),
        ("GET", f"/api/v1/payments/{UNKNOWN}", 404),
        ("DELETE", "/api/v1/orders", 405),
        ("GET", "/api/v1/nonsense", 404),
        ("POST", "/api/v1/products", 403),
        ("GET", "/api/v1/products?limit=-1", 422),
        ("GET", "/api/v1/products?cursor=%FF", 422),
    ],
)
async def test_a_wrong_address_is_a_problem(open_shop: Shopper, method: str, path: str, expected: int) -> None:
    body = b'{"name": "x", "price": {"amount": 1, "currency": "USD"}, "stock": 1}' if method == "POST" else None
    status, problem, kind = await send(open_shop, method, path, body)
    assert (status, kind) == (expected, "application/problem+json"), problem


@pytest.mark.parametrize("token", ["", "Bearer nonsense", "Bearer a.b.c", "Basic YTpi"])
async def test_a_stranger_is_told_to_sign_in(open_shop: Shopper, token: str) -> None:
    status, _, kind = await send(open_shop, "GET", "/api/v1/orders", Authorization=token)
    assert (status, kind) == (401, "application/problem+json")
