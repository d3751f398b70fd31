"""`python -m svc_order --in-memory`: an order from its price to its document; the test plays the other services."""

from typing import Any
from uuid import uuid4

import aiohttp

from contracts.money import Money
from contracts.payments import PaymentCaptured
from contracts.stock import ProductChanged, StockReserved
from corelib.clock import SystemClock
from corelib.message import Event
from corelib.testing.alone import alone, ask
from corelib.testing.running import until

LINES = {"lines": [{"product_id": "bread", "quantity": 2}]}


async def tell(session: aiohttp.ClientSession, event: Event) -> None:
    told = await ask(session, f"POST /in-memory/events/{event.type}", event.model_dump(mode="json"))
    assert told[0] == 202


async def hears(session: aiohttp.ClientSession, kind: str) -> None:
    async def heard() -> bool:
        _, page = await ask(session, "GET /in-memory/events")
        return any(event["type"] == kind for event in page["items"])

    await until(heard)


async def test_an_order_goes_from_its_price_to_its_confirmation() -> None:
    price = Money(amount=250, currency="USD")
    async with alone("svc_order") as session:
        _, answer = await ask(session, "POST /in-memory/tokens", {})
        token = answer["access_token"]
        await tell(session, ProductChanged(product_id="bread", name="Bread", price=price, active=True, version=1))

        async def cart() -> Any:
            status, filled = await ask(session, "PUT /api/v1/carts/me", LINES, token=token)
            return status == 200 and filled["total"]

        await until(cart)
        assert (await ask(session, "POST /api/v1/orders", LINES, token=token))[0] == 400
        key = {"Idempotency-Key": str(uuid4())}
        _, order = await ask(session, "POST /api/v1/orders", LINES, token=token, **key)
        assert await ask(session, "POST /api/v1/orders", LINES, token=token, **key) == (201, order)
        await hears(session, "souk.order.placed.v1")
        await tell(session, StockReserved(order_id=order["order_id"], expires_at=SystemClock().now()))
        await hears(session, "souk.payment.requested.v1")
        await tell(session, PaymentCaptured(order_id=order["order_id"], payment_id=uuid4(), amount=price))
        await hears(session, "souk.order.confirmed.v1")
        _, page = await ask(session, "GET /api/v1/orders", token=token)
        assert [(one["order_id"], one["status"]) for one in page["items"]] == [(order["order_id"], "confirmed")]
