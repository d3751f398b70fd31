"""Products, stock and reservations as documents in memory, under the rules that PostgreSQL's constraints hold."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from corelib.documents import DocumentStore, Item, Table, documents
from corelib.transaction import Transaction
from svc_product.domain import Shelf, State
from svc_product.store import Product, Reservation

PRODUCTS = Table("products", key="product_id")
STOCK = Table("stock", key="product_id")
RESERVATIONS = Table("reservations", key="order_id")
TABLES = (PRODUCTS, STOCK, RESERVATIONS)


class MemoryCatalogue:
    """Implements `Catalogue`."""

    def __init__(self, db: DocumentStore) -> None:
        self._db = db

    async def find(self, product_id: str) -> Product | None:
        """Return a product with its stock."""
        key = {"product_id": product_id}
        item = await self._db.get(PRODUCTS, key)
        return _product(item, await self._db.get(STOCK, key)) if item else None

    async def search(self, text: str, *, after: str, limit: int) -> list[Product]:
        """Return active products behind `after`, in order of their ids."""
        words = text.lower()
        found = [
            item["product_id"]
            async for item in self._db.scan(PRODUCTS)
            if item["active"] and item["product_id"] > after and words in item["name"].lower()
        ]
        products = [await self.find(product_id) for product_id in sorted(found)[:limit]]
        return [product for product in products if product]

    async def add(self, tx: Transaction, product: Product, units: int) -> Product | None:
        """Store a new product and put units on its shelf; None when the id is taken."""
        if await documents(tx).get(PRODUCTS, {"product_id": product.product_id}) is not None:
            return None
        (added,) = await self.upsert(tx, [(product, units)])
        return added

    async def upsert(self, tx: Transaction, products: Sequence[tuple[Product, int]]) -> list[Product]:
        """Store many products, new or known, and put units on their shelves; return them, in any order."""
        return [await self._upsert(tx, product, units) for product, units in products]

    async def _upsert(self, tx: Transaction, product: Product, units: int) -> Product:
        docs, key = documents(tx), {"product_id": product.product_id}
        known = await docs.get(PRODUCTS, key)
        stored = replace(product, active=True, version=known["version"] + 1 if known else 1)
        docs.put(PRODUCTS, _item(stored))
        stock = await docs.get(STOCK, key) or {**key, "supplied": 0, "on_hand": 0, "reserved": 0}
        docs.put(STOCK, _moved(stock, supplied=units, on_hand=units))
        return stored

    async def change(
        self,
        tx: Transaction,
        product_id: str,
        *,
        name: str | None,
        description: str | None,
        amount: int | None,
        currency: str | None,
        active: bool | None,
    ) -> Product | None:
        """Change what is not None; return the product after it."""
        item = await documents(tx).get(PRODUCTS, {"product_id": product_id})
        if item is None:
            return None
        told = {"name": name, "description": description, "amount": amount, "currency": currency, "active": active}
        changes = {field: value for field, value in told.items() if value is not None}
        after = {**item, **changes, "version": item["version"] + 1}
        documents(tx).put(PRODUCTS, after)
        return _product(after)

    async def count(self, tx: Transaction, product_id: str, on_hand: int) -> Shelf | None:
        """Set what is on hand; None when the product is unknown or more than that is promised."""
        stock = await documents(tx).get(STOCK, {"product_id": product_id})
        if stock is None or stock["reserved"] > on_hand:
            return None
        difference = on_hand - stock["on_hand"]
        counted = _moved(stock, supplied=difference, on_hand=difference)
        documents(tx).put(STOCK, counted)
        return _shelf(counted)


class MemoryStock:
    """Implements `Stock`."""

    async def lock(self, tx: Transaction, products: Sequence[str]) -> dict[str, Shelf]:
        """Return the shelves of these products; a change by another is a `Conflict` at commit."""
        found = {name: await documents(tx).get(STOCK, {"product_id": name}) for name in products}
        return {name: _shelf(stock) for name, stock in found.items() if stock}

    async def hold(
        self, tx: Transaction, order_id: UUID, lines: Mapping[str, int], *, expires: datetime, timer_id: UUID
    ) -> None:
        """Promise the lines to an order."""
        await self._move(tx, lines, on_hand=0, reserved=1)
        item = {
            "order_id": str(order_id),
            "status": State.HELD.value,
            "lines": dict(lines),
            "expires_at": expires.isoformat(),
            "timer_id": str(timer_id),
        }
        documents(tx).put(RESERVATIONS, item, new=True)

    async def reservation(self, tx: Transaction, order_id: UUID) -> Reservation | None:
        """Return an order's reservation; a change by another is a `Conflict` at commit."""
        item = await documents(tx).get(RESERVATIONS, {"order_id": str(order_id)})
        if item is None:
            return None
        return Reservation(order_id, State(item["status"]), item["lines"], UUID(item["timer_id"]))

    async def finish(self, tx: Transaction, reservation: Reservation, state: State) -> None:
        """Let the goods leave (committed) or give them back (released)."""
        await self._move(tx, reservation.lines, on_hand=-1 if state is State.COMMITTED else 0, reserved=-1)
        item = await documents(tx).get(RESERVATIONS, {"order_id": str(reservation.order_id)})
        documents(tx).put(RESERVATIONS, {**(item or {}), "status": state.value})

    async def _move(self, tx: Transaction, lines: Mapping[str, int], *, on_hand: int, reserved: int) -> None:
        docs = documents(tx)
        for product_id, units in lines.items():
            stock = await docs.get(STOCK, {"product_id": product_id})
            if stock is not None:
                docs.put(STOCK, _moved(stock, on_hand=on_hand * units, reserved=reserved * units))


def _moved(stock: Item, *, supplied: int = 0, on_hand: int = 0, reserved: int = 0) -> Item:
    """Return a shelf after a move. Raises `ValueError` where PostgreSQL's CHECK would."""
    after = {
        **stock,
        "supplied": stock["supplied"] + supplied,
        "on_hand": stock["on_hand"] + on_hand,
        "reserved": stock["reserved"] + reserved,
    }
    if not 0 <= after["reserved"] <= after["on_hand"]:
        raise ValueError(f"a shelf cannot be {after}")
    return after


def _shelf(stock: Item) -> Shelf:
    return Shelf(stock["on_hand"], stock["reserved"])


def _item(product: Product) -> Item:
    return {
        "product_id": product.product_id,
        "name": product.name,
        "description": product.description,
        "amount": product.amount,
        "currency": product.currency,
        "active": product.active,
        "version": product.version,
    }


def _product(item: Item, stock: Item | None = None) -> Product:
    return Product(**item, shelf=_shelf(stock) if stock else None)
