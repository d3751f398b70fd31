"""Orders, carts and known prices, as documents: in DynamoDB or in memory.

`orders` (order_id; index by-user: user_id, placed_at), `carts` (user_id), `order-prices` (product_id).
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from corelib.documents import DocumentStore, DocumentTransaction, Index, Item, Table
from svc_order.domain import Line, Order, Price, Status

ORDERS = Table("orders", key="order_id", indexes=(Index("by-user", key="user_id", sort="placed_at"),))
CARTS = Table("carts", key="user_id")
PRICES = Table("order-prices", key="product_id")
TABLES = (ORDERS, CARTS, PRICES)
_CACHED_PRICES = 50_000


class Orders:
    """Stores each order as one item, guarded by its version."""

    def __init__(self, db: DocumentStore) -> None:
        self._db = db

    async def find(self, order_id: UUID, tx: DocumentTransaction | None = None) -> Order | None:
        """Return an order; given a transaction, one that is still so when it commits."""
        key = {"order_id": str(order_id)}
        item = await (tx.get(ORDERS, key) if tx else self._db.get(ORDERS, key))
        return _order(item) if item else None

    async def of_user(self, user_id: UUID, *, limit: int, start: Item | None) -> tuple[list[Order], Item | None]:
        """Return a user's orders, newest first, and where the next page starts."""
        items, following = await self._db.query(
            ORDERS, index="by-user", key={"user_id": str(user_id)}, limit=limit, start=start, forward=False
        )
        return [_order(item) for item in items], following

    def add(self, tx: DocumentTransaction, order: Order) -> None:
        """Store a new order."""
        tx.put(ORDERS, _item(order), new=True)

    def save(self, tx: DocumentTransaction, order: Order) -> None:
        """Store the next state of an order; `Conflict` at commit if another came first."""
        tx.put(ORDERS, _item(order), version=order.version - 1)


class Carts:
    """One cart a user."""

    def __init__(self, db: DocumentStore) -> None:
        self._db = db

    async def lines(self, user_id: UUID) -> list[tuple[str, int]]:
        """Return product ids and quantities."""
        item = await self._db.get(CARTS, {"user_id": str(user_id)})
        return [(line["product_id"], line["quantity"]) for line in item["lines"]] if item else []

    def fill(self, tx: DocumentTransaction, user_id: UUID, lines: Sequence[tuple[str, int]]) -> None:
        """Replace what is in the cart."""
        stored = [{"product_id": product, "quantity": quantity} for product, quantity in lines]
        tx.put(CARTS, {"user_id": str(user_id), "lines": stored})

    def clear(self, tx: DocumentTransaction, user_id: UUID) -> None:
        """Empty the cart."""
        tx.delete(CARTS, {"user_id": str(user_id)})


@dataclass
class Prices:
    """What svc-product told: a projection, remembered in the process for a moment so that an order needs no read."""

    db: DocumentStore
    keep_seconds: float
    _cache: OrderedDict[str, tuple[float, Price]] = field(default_factory=OrderedDict)

    async def of(self, products: Sequence[str]) -> dict[str, Price]:
        """Return the prices of those products that are known."""
        now = time.monotonic()
        found = {p: self._cache[p][1] for p in products if p in self._cache and self._cache[p][0] > now}
        unknown = sorted({product for product in products if product not in found})
        if unknown:
            items = await self.db.get_many(PRICES, [{"product_id": product} for product in unknown], consistent=False)
            for item in items:
                price = Price(item["product_id"], item["amount"], item["currency"], item["active"])
                found[price.product_id] = price
                self._remember(price, now + self.keep_seconds)
        return found

    async def version(self, product_id: str) -> int:
        """Return the stored version of a product, 0 for none."""
        item = await self.db.get(PRICES, {"product_id": product_id})
        return int(item["version"]) if item else 0

    def store(self, tx: DocumentTransaction, price: Price, *, version: int, known: int) -> None:
        """Store a newer price over the `known` version."""
        item: dict[str, Any] = {
            "product_id": price.product_id,
            "amount": price.amount,
            "currency": price.currency,
            "active": price.active,
            "version": version,
        }
        if known:
            tx.put(PRICES, item, version=known)
        else:
            tx.put(PRICES, item, new=True)

    def _remember(self, price: Price, until: float) -> None:
        self._cache[price.product_id] = (until, price)
        self._cache.move_to_end(price.product_id)
        if len(self._cache) > _CACHED_PRICES:
            self._cache.popitem(last=False)


def _item(order: Order) -> Item:
    item: dict[str, Any] = {
        "order_id": str(order.order_id),
        "user_id": str(order.user_id),
        "email": order.email,
        "status": order.status.value,
        "lines": [
            {"product_id": line.product_id, "quantity": line.quantity, "amount": line.amount} for line in order.lines
        ],
        "total": order.total,
        "currency": order.currency,
        "placed_at": order.placed_at.isoformat(),
        "timer_id": str(order.timer_id),
        "version": order.version,
        "reason": order.reason,
        "ended_at": order.ended_at.isoformat() if order.ended_at else None,
    }
    return item


def _order(item: Item) -> Order:
    ended = item["ended_at"]
    return Order(
        order_id=UUID(item["order_id"]),
        user_id=UUID(item["user_id"]),
        email=item["email"],
        status=Status(item["status"]),
        lines=tuple(Line(line["product_id"], line["quantity"], line["amount"]) for line in item["lines"]),
        total=item["total"],
        currency=item["currency"],
        placed_at=datetime.fromisoformat(item["placed_at"]),
        timer_id=UUID(item["timer_id"]),
        version=item["version"],
        reason=item["reason"],
        ended_at=datetime.fromisoformat(ended) if ended else None,
    )
