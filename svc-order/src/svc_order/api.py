"""Carts and orders over HTTP."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from contracts.money import Money
from contracts.orders import OrderDeadlineReached, OrderLine, OrderPlaced, Quantity
from corelib.api import Api, Reply, delete, get, post, put
from corelib.auth import Caller
from corelib.clock import Clock
from corelib.documents import DocumentTransaction, Item
from corelib.errors import Problem
from corelib.ids import uuid7
from corelib.message import Command
from svc_order.actors import cancel
from svc_order.domain import MAX_LINES, Order, Status, Unpriceable, price
from svc_order.store import Carts, Orders, Prices

_CURSOR = TypeAdapter(dict[str, str])


class WantedLine(Command):
    """A product and how many; the price is the catalogue's."""

    product_id: Annotated[str, Field(min_length=1, max_length=64)]
    quantity: Quantity


class PlaceOrder(Command):
    """What the caller wants to buy."""

    lines: Annotated[list[WantedLine], Field(min_length=1, max_length=MAX_LINES)]


class FillCart(Command):
    """What the caller may want to buy."""

    lines: Annotated[list[WantedLine], Field(max_length=MAX_LINES)]


class CartView(BaseModel):
    """A cart with the prices of this moment."""

    lines: list[OrderLine]
    total: Money | None = None


class OrderView(BaseModel):
    """An order as its owner sees it."""

    order_id: UUID
    status: Status
    lines: list[OrderLine]
    total: Money
    placed_at: datetime
    ended_at: datetime | None = None
    reason: str = ""


class Page(BaseModel):
    """`cursor` is `next` of the page before."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str, Field(max_length=1_000)] = ""


class OrderPage(BaseModel):
    """A page of orders, newest first; `next` is absent on the last one."""

    items: list[OrderView]
    next: str | None = None


class CartsApi(Api):
    """The resource /api/v1/carts/me."""

    def __init__(self, carts: Carts, prices: Prices) -> None:
        self._carts = carts
        self._prices = prices

    @get("/api/v1/carts/me")
    async def show(self, caller: Caller) -> CartView:
        """Show one's cart with today's prices."""
        return await self._priced(await self._carts.lines(caller.user_id))

    @put("/api/v1/carts/me")
    async def fill(self, body: FillCart, caller: Caller, tx: DocumentTransaction) -> CartView:
        """Replace what is in one's cart."""
        wanted = _wanted(body.lines)
        view = await self._priced(wanted)
        self._carts.fill(tx, caller.user_id, wanted)
        return view

    @delete("/api/v1/carts/me")
    async def clear(self, caller: Caller, tx: DocumentTransaction) -> None:
        """Empty one's cart."""
        self._carts.clear(tx, caller.user_id)

    async def _priced(self, wanted: list[tuple[str, int]]) -> CartView:
        if not wanted:
            return CartView(lines=[])
        known = await self._prices.of([product for product, _ in wanted])
        try:
            lines, total, currency = price(wanted, known)
        except Unpriceable as error:
            raise _unpriceable(error) from error
        views = [
            OrderLine(
                product_id=line.product_id,
                quantity=line.quantity,
                unit_price=Money(amount=line.amount, currency=currency),
            )
            for line in lines
        ]
        return CartView(lines=views, total=Money(amount=total, currency=currency))


class OrdersApi(Api):
    """The resource /api/v1/orders."""

    def __init__(self, orders: Orders, prices: Prices, clock: Clock, *, deadline: timedelta) -> None:
        self._orders = orders
        self._prices = prices
        self._clock = clock
        self._deadline = deadline

    @post("/api/v1/orders", status=201, idempotent="required")
    async def place(self, body: PlaceOrder, caller: Caller, tx: DocumentTransaction) -> Reply[OrderView]:
        """Place an order: it is pending until stock and payment are settled."""
        wanted = _wanted(body.lines)
        try:
            lines, total, currency = price(wanted, await self._prices.of([product for product, _ in wanted]))
        except Unpriceable as error:
            raise _unpriceable(error) from error
        order_id = uuid7()
        now = self._clock.now()
        timer = tx.schedule(OrderDeadlineReached(order_id=order_id), at=now + self._deadline)
        order = Order(
            order_id=order_id,
            user_id=caller.user_id,
            email=caller.email,
            status=Status.PENDING,
            lines=lines,
            total=total,
            currency=currency,
            placed_at=now,
            timer_id=timer.id,
        )
        self._orders.add(tx, order)
        view = _view(order)
        tx.publish(
            OrderPlaced(
                order_id=order_id,
                user_id=caller.user_id,
                lines=tuple(view.lines),
                total=view.total,
                placed_at=now,
            )
        )
        return Reply(view, headers={"Location": f"/api/v1/orders/{order_id}"})

    @get("/api/v1/orders")
    async def mine(self, query: Page, caller: Caller) -> OrderPage:
        """List one's own orders, newest first."""
        found, following = await self._orders.of_user(caller.user_id, limit=query.limit, start=_decode(query, caller))
        return OrderPage(items=[_view(order) for order in found], next=_encode(following))

    @get("/api/v1/orders/{order_id}")
    async def show(self, order_id: UUID, caller: Caller) -> OrderView:
        """Show one of one's own orders."""
        return _view(await self._own(order_id, caller))

    @post("/api/v1/orders/{order_id}/cancel", status=202)
    async def cancel(self, order_id: UUID, caller: Caller, tx: DocumentTransaction) -> OrderView:
        """Cancel an order that is not final: stock and money go back."""
        order = await self._own(order_id, caller)
        after = cancel(self._orders, tx, order, self._clock, reason="cancelled by the customer", refund=True)
        if after is None:
            raise Problem(409, "order-final", f"This order is {order.status.value}; it cannot be cancelled any more.")
        return _view(after)

    async def _own(self, order_id: UUID, caller: Caller) -> Order:
        order = await self._orders.find(order_id)
        if order is None or order.user_id != caller.user_id:
            raise Problem(404, "order-not-found", f"You have no order {order_id}.")
        return order


def _wanted(lines: Sequence[WantedLine]) -> list[tuple[str, int]]:
    return [(line.product_id, line.quantity) for line in lines]


def _view(order: Order) -> OrderView:
    return OrderView(
        order_id=order.order_id,
        status=order.status,
        lines=[
            OrderLine(
                product_id=line.product_id,
                quantity=line.quantity,
                unit_price=Money(amount=line.amount, currency=order.currency),
            )
            for line in order.lines
        ],
        total=Money(amount=order.total, currency=order.currency),
        placed_at=order.placed_at,
        ended_at=order.ended_at,
        reason=order.reason,
    )


def _unpriceable(error: Unpriceable) -> Problem:
    return Problem(422, "invalid-order", f"/lines: {error}", products=error.products)


def _encode(start: Item | None) -> str | None:
    return base64.urlsafe_b64encode(orjson.dumps(start)).decode() if start else None


def _decode(query: Page, caller: Caller) -> Item | None:
    if not query.cursor:
        return None
    try:
        start = _CURSOR.validate_json(base64.b64decode(query.cursor, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise Problem(422, "invalid-request", "/cursor: this is not a cursor; use `next` of a page") from error
    is_whole = {*start} == {"order_id", "user_id", "placed_at"} and all(start.values())
    if not is_whole or start["user_id"] != str(caller.user_id):
        raise Problem(422, "invalid-request", "/cursor: this is not a cursor of yours; use `next` of a page")
    return dict(start)
