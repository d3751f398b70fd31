"""`python -m svc_product --in-memory`: the whole service, without a server and without a variable."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp

from contracts.money import Money
from contracts.orders import OrderLine, OrderPlaced
from corelib.testing.alone import alone, ask
from corelib.testing.running import until

BREAD = {"product_id": "bread", "name": "Bread", "price": {"amount": 250, "currency": "USD"}, "stock": 3}


async def stocked(session: aiohttp.ClientSession) -> str:
    _, answer = await ask(session, "POST /in-memory/tokens", {"roles": ["admin"]})
    token = str(answer["access_token"])
    assert (await ask(session, "POST /api/v1/products", BREAD, token=token))[0] == 201
    return token


async def test_products_are_managed_and_an_image_is_uploaded() -> None:
    async with alone("svc_product") as session:
        assert (await ask(session, "POST /api/v1/products", BREAD))[0] == 401
        token = await stocked(session)
        assert (await ask(session, "POST /api/v1/products", BREAD, token=token))[0] == 409
        _, page = await ask(session, "GET /api/v1/products")
        assert [product["name"] for product in page["items"]] == ["Bread"]
        _, image = await ask(session, "POST /api/v1/products/bread/image-url", token=token)
        for kind, status in (("text/plain", 403), ("image/jpeg", 200)):
            async with session.put(image["url"], data=b"\xff\xd8\xff", headers={"Content-Type": kind}) as answer:
                assert answer.status == status


async def test_an_order_that_another_service_placed_reserves_stock() -> None:
    line = OrderLine(product_id="bread", quantity=2, unit_price=Money(amount=250, currency="USD"))
    total, now = Money(amount=500, currency="USD"), datetime.now(UTC)
    order = OrderPlaced(order_id=uuid4(), user_id=uuid4(), lines=(line,), total=total, placed_at=now)
    async with alone("svc_product") as session:
        await stocked(session)
        told = await ask(session, f"POST /in-memory/events/{order.type}", order.model_dump(mode="json"))
        assert told[0] == 202

        async def reserved() -> list[Any]:
            _, page = await ask(session, "GET /in-memory/events")
            return [event for event in page["items"] if event["type"] == "souk.stock.reserved.v1"]

        await until(reserved)
        assert (await reserved())[0]["key"] == str(order.order_id)
        _, bread = await ask(session, "GET /api/v1/products/bread")
        assert bread["stock"] == {"on_hand": 3, "reserved": 2, "available": 1}
