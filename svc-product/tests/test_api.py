"""The catalogue over HTTP, on real PostgreSQL and S3 and in memory; bad input changes nothing."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio

from contracts.stock import ProductChanged
from corelib.clock import ManualClock
from corelib.message import Event
from corelib.testing.desk import Desk
from corelib.testing.issuer import Issuer
from corelib.testing.running import free_port, running
from corelib.transaction import channels_of
from svc_product.app import build
from svc_product.settings import ProductSettings

PRICE = {"amount": 250, "currency": "USD"}
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Shop:
    session: aiohttp.ClientSession
    url: str
    issuer: Issuer
    desk: Desk

    def token(self, *roles: str) -> str:
        return self.issuer.token(uuid4(), *roles)

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, kind: str = "application/json"
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = kind
        url, given = f"{self.url}{path}", io.BytesIO(data) if data is not None else None
        async with self.session.request(method, url, data=given, headers=headers) as answer:
            content = await answer.json(content_type=None) if await answer.read() else None
            assert answer.status < 400 or answer.content_type == "application/problem+json"
            return answer.status, content

    async def manage(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return await self.call(method, path, body, token=self.token("admin"))

    async def add(self, **changes: Any) -> tuple[int, Any]:
        product = {"product_id": new_id(), "name": "Bread", "price": PRICE, "stock": 5}
        return await self.manage("POST", "/api/v1/products", product | changes)

    async def changes_of(self, product_id: str) -> list[ProductChanged]:
        """What was published of a product since anyone looked last."""
        events: list[Event] = await self.desk.published()
        return [event for event in events if isinstance(event, ProductChanged) and event.product_id == product_id]

    async def all_named(self, words: str, limit: int = 2) -> list[str]:
        found: list[str] = []
        following = ""
        while True:
            path = f"/api/v1/products?q={quote(words)}&limit={limit}&cursor={following}"
            _, page = await self.call("GET", path)
            found += [product["product_id"] for product in page["items"]]
            assert len(found) == len(set(found)), "a page gave what another had given"
            if not (following := page["next"]):
                return found


def new_id() -> str:
    return f"p-{uuid4()}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(either: dict[str, Any]) -> AsyncIterator[Shop]:
    async with Issuer() as issuer:
        settings = ProductSettings(**either, port=free_port(), jwks_url=issuer.jwks_url, only="http")
        service = build(settings)
        async with running(service) as url, aiohttp.ClientSession() as session:
            channels = frozenset(channel.name for channel in channels_of(service.publishes))
            reader = service.store.outbox("desk", channels)
            await reader.acquire("desk")
            yield Shop(session, url, issuer, Desk(service, ManualClock(), reader))


async def test_a_product_is_added_told_and_shown_to_everyone(shop: Shop) -> None:
    status, product = await shop.add(description="of rye")
    product_id = product["product_id"]
    assert (status, product["version"], product["price"]) == (201, 1, PRICE)
    status, shown = await shop.call("GET", f"/api/v1/products/{product_id}")
    assert (status, shown["description"]) == (200, "of rye")
    assert shown["stock"] == {"on_hand": 5, "reserved": 0, "available": 5}
    (changed,) = await shop.changes_of(product_id)
    assert (changed.price.amount, changed.version, changed.active) == (250, 1, True)


async def test_an_id_is_taken_once_though_many_try_at_once(shop: Shop) -> None:
    product_id = new_id()
    answers = await asyncio.gather(*(shop.add(product_id=product_id, stock=n) for n in range(1, 9)))
    assert sorted(status for status, _ in answers) == [201] + [409] * 7
    assert {body["type"] for status, body in answers if status == 409} == {"urn:souk:problem:product-exists"}
    assert len(await shop.changes_of(product_id)) == 1


async def test_without_an_id_of_its_own_a_product_gets_one(shop: Shop) -> None:
    body = {"name": "Bread", "price": PRICE}
    (_, one), (_, two) = [await shop.manage("POST", "/api/v1/products", body) for _ in range(2)]
    assert one["product_id"] != two["product_id"]
    _, shown = await shop.call("GET", f"/api/v1/products/{one['product_id']}")
    assert shown["stock"]["on_hand"] == 0


async def test_a_change_keeps_what_it_leaves_out_and_is_told_with_a_higher_version(shop: Shop) -> None:
    _, product = await shop.add()
    path = f"/api/v1/products/{product['product_id']}"
    status, after = await shop.manage("PATCH", path, {"price": {"amount": 300, "currency": "EUR"}})
    assert (status, after["name"], after["version"]) == (200, "Bread", 2)
    await shop.manage("PATCH", path, {"active": False})
    assert [
        (event.version, event.price.amount, event.active) for event in await shop.changes_of(product["product_id"])
    ] == [(1, 250, True), (2, 300, True), (3, 300, False)]


async def test_changes_at_the_same_time_all_count(shop: Shop) -> None:
    _, product = await shop.add()
    path = f"/api/v1/products/{product['product_id']}"
    answers = await asyncio.gather(*(shop.manage("PATCH", path, {"name": f"Bread {n}"}) for n in range(8)))
    assert sorted(after["version"] for _, after in answers) == list(range(2, 10))
    last = max(await shop.changes_of(product["product_id"]), key=lambda event: event.version)
    assert (await shop.call("GET", path))[1]["name"] == last.name


async def test_a_stocktaking_sets_what_is_there(shop: Shop) -> None:
    _, product = await shop.add()
    path = f"/api/v1/products/{product['product_id']}/stock"
    assert await shop.manage("PUT", path, {"on_hand": 9}) == (200, {"on_hand": 9, "reserved": 0, "available": 9})
    assert (await shop.manage("PUT", "/api/v1/products/nothing/stock", {"on_hand": 9}))[0] == 404
    for units in (-1, 10**9 + 1, 1.5, "9", None, True):
        assert (await shop.manage("PUT", path, {"on_hand": units}))[0] == 422, units
    assert (await shop.call("GET", path.removesuffix("/stock")))[1]["stock"]["on_hand"] == 9


async def test_many_products_come_at_once_and_a_second_time_add_to_the_shelves(shop: Shop) -> None:
    ids = [new_id() for _ in range(500)]
    body = {"products": [{"product_id": one, "name": "Bread", "price": PRICE, "stock": 2} for one in ids]}
    for _ in range(2):
        assert await shop.manage("POST", "/api/v1/products/bulk", body) == (200, {"count": 500})
    _, shown = await shop.call("GET", f"/api/v1/products/{ids[0]}")
    assert (shown["stock"]["on_hand"], shown["version"]) == (4, 2)
    assert [event.version for event in await shop.changes_of(ids[-1])] == [1, 2]


async def test_a_bad_one_among_many_is_none_of_them(shop: Shop) -> None:
    good = {"product_id": new_id(), "name": "Bread", "price": PRICE, "stock": 2}
    for others, status in (
        ([good], 422),
        ([{**good, "product_id": new_id(), "stock": -1}], 422),
        ([{**good, "product_id": None}], 422),
        ([{**good, "product_id": new_id()} for _ in range(500)], 422),
    ):
        assert (await shop.manage("POST", "/api/v1/products/bulk", {"products": [good, *others]}))[0] == status
    assert (await shop.manage("POST", "/api/v1/products/bulk", {"products": []}))[0] == 422
    assert (await shop.call("GET", f"/api/v1/products/{good['product_id']}"))[0] == 404
    assert await shop.changes_of(str(good["product_id"])) == []


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
async def test_the_pages_of_a_search_hold_each_match_once(shop: Shop, limit: int) -> None:
    word = uuid4().hex
    names = [f"{word} One", f"two {word.upper()}", f"{word}", f"x{word}x", f"{word} gone"]
    ids = [(await shop.add(name=name))[1]["product_id"] for name in names]
    await shop.manage("PATCH", f"/api/v1/products/{ids.pop()}", {"active": False})
    assert await shop.all_named(word, limit) == sorted(ids)


@pytest.mark.parametrize("words", ["%", "_", "\\", "'", "a%b"])
async def test_signs_of_the_database_are_letters_like_others(shop: Shop, words: str) -> None:
    word = uuid4().hex
    _, meant = await shop.add(name=f"{word}{words}!")
    await shop.add(name=f"{word}aXXb!")
    assert await shop.all_named(f"{word}{words}") == [meant["product_id"]]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("limit=x", "/limit"),
        ("page=2", "/page"),
        (f"q={'x' * 101}", "/q"),
        ("cursor=%FF", "/cursor"),
        ("cursor=ä", "/cursor"),
        (f"cursor={base64.urlsafe_b64encode(b'%c' % 255).decode()}", "/cursor"),
        (f"cursor={base64.urlsafe_b64encode(bytes(1)).decode()}", "/cursor"),
    ],
)
async def test_a_bad_search_is_refused(shop: Shop, query: str, says: str) -> None:
    status, problem = await shop.call("GET", f"/api/v1/products?{query}")
    assert (status, says in problem["detail"]) == (422, True)


@pytest.mark.parametrize("path", ["no-such", "%FF", "%ED%A0%80", "a%00b", "..%2f", "x" * 3_000, "%27%3B--"])
async def test_an_unknown_product_is_not_found(shop: Shop, path: str) -> None:
    assert (await shop.call("GET", f"/api/v1/products/{path}"))[0] == 404
    assert (await shop.manage("PATCH", f"/api/v1/products/{path}", {"name": "x"}))[0] == 404
    assert (await shop.manage("POST", f"/api/v1/products/{path}/image-url"))[0] == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/products"),
        ("POST", "/api/v1/products/bulk"),
        ("PATCH", "/api/v1/products/{product}"),
        ("PUT", "/api/v1/products/{product}/stock"),
        ("POST", "/api/v1/products/{product}/image-url"),
    ],
)
async def test_only_an_admin_manages_the_catalogue(shop: Shop, method: str, path: str) -> None:
    _, product = await shop.add()
    await shop.desk.published()
    path = path.format(product=product["product_id"])
    body = {"product_id": new_id(), "name": "Stolen", "price": PRICE, "on_hand": 0}
    assert (await shop.call(method, path, body))[0] == 401
    assert (await shop.call(method, path, body, token="a.b.c"))[0] == 401
    assert (await shop.call(method, path, body, token=shop.token()))[0] == 403
    assert (await shop.call(method, path, body, token=shop.token("customer")))[0] == 403
    assert (await shop.call(method, path, body, token=Issuer().token(uuid4(), "admin")))[0] == 401
    assert (await shop.call("GET", f"/api/v1/products/{product['product_id']}"))[1]["name"] == "Bread"
    assert await shop.desk.published() == []


async def test_an_image_goes_to_the_bucket_by_its_presigned_url(shop: Shop) -> None:
    _, product = await shop.add()
    status, given = await shop.manage("POST", f"/api/v1/products/{product['product_id']}/image-url")
    assert status == 201
    assert product["product_id"] in given["key"]
    async with shop.session.put(given["url"], data=b"\xff\xd8\xff", headers={"Content-Type": "image/jpeg"}) as answer:
        assert answer.status == 200
    images: Any = next(one for one in shop.desk.service.resources if "product-images" in one.name)
    assert await images.get(given["key"]) == b"\xff\xd8\xff"


BAD_PRODUCTS: list[tuple[dict[str, Any], str]] = [
    ({"colour": "brown"}, "/colour"),
    ({"version": 7}, "/version"),
    ({"name": ""}, "/name"),
    ({"name": "x" * 201}, "/name"),
    ({"name": None}, "/name"),
    ({"name": "a\0b"}, "NUL"),
    ({"description": "x" * 2_001}, "/description"),
    ({"price": {"amount": -1, "currency": "USD"}}, "/price/amount"),
    ({"price": {"amount": 2.5, "currency": "USD"}}, "/price/amount"),
    ({"price": {"amount": "250", "currency": "USD"}}, "/price/amount"),
    ({"price": {"amount": 10**12 + 1, "currency": "USD"}}, "/price/amount"),
    ({"price": {"amount": 10**30, "currency": "USD"}}, "/price/amount"),
    ({"price": {"amount": 1, "currency": "usd"}}, "/price/currency"),
    ({"price": {"amount": 1}}, "/price/currency"),
    ({"price": {"amount": 1, "currency": "USD", "discount": 1}}, "/price/discount"),
    ({"price": 250}, "/price"),
    ({"price": None}, "/price"),
]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        *BAD_PRODUCTS,
        ({"stock": -1}, "/stock"),
        ({"stock": 10**9 + 1}, "/stock"),
        ({"stock": "5"}, "/stock"),
        ({"product_id": ""}, "/product_id"),
        ({"product_id": "a b"}, "/product_id"),
        ({"product_id": "x" * 65}, "/product_id"),
        ({"product_id": 7}, "/product_id"),
    ],
)
async def test_a_bad_product_is_refused_with_the_field_that_is_wrong(
    shop: Shop, changes: dict[str, Any], says: str
) -> None:
    product_id = {"product_id": new_id(), **changes}["product_id"]
    await shop.desk.published()
    status, problem = await shop.add(**{"product_id": product_id, **changes})
    assert (status, says in problem["detail"]) == (422, True), problem
    assert (await shop.call("GET", f"/api/v1/products/{product_id or '-'}"))[0] == 404
    assert await shop.desk.published() == []


@pytest.mark.parametrize(("changes", "says"), [case for case in BAD_PRODUCTS if None not in case[0].values()])
async def test_a_bad_change_is_refused_and_changes_nothing(shop: Shop, changes: dict[str, Any], says: str) -> None:
    _, product = await shop.add()
    path = f"/api/v1/products/{product['product_id']}"
    before = await shop.call("GET", path)
    await shop.desk.published()
    status, problem = await shop.manage("PATCH", path, changes)
    assert (status, says in problem["detail"]) == (422, True), problem
    assert await shop.call("GET", path) == before
    assert await shop.desk.published() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 200_000, 400),
        (b"[]", 422),
        (b"null", 422),
        (b" " * 300_000, 413),
        (b'{"name": "' + b"x" * 10_000_000 + b'"}', 413),
    ],
    ids=["nothing", "broken", "not UTF-8", "too deep", "an array", "null", "too large", "ten megabytes"],
)
async def test_a_body_that_is_no_product_is_refused(shop: Shop, body: bytes, status: int) -> None:
    for method, path in (("POST", "/api/v1/products"), ("POST", "/api/v1/products/bulk")):
        assert (await shop.manage(method, path, body))[0] == status


async def test_the_wrong_content_type_is_refused(shop: Shop) -> None:
    body = {"product_id": new_id(), "name": "Bread", "price": PRICE}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
        status, _ = await shop.call("POST", "/api/v1/products", body, token=shop.token("admin"), kind=kind)
        assert status == 415
    assert (await shop.call("GET", f"/api/v1/products/{body['product_id']}"))[0] == 404
