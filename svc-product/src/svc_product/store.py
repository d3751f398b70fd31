"""What the service keeps: products, their stock, what orders were promised. `postgres` has it, and `memory`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from corelib.transaction import Transaction
from svc_product.domain import Shelf, State


@dataclass(frozen=True)
class Product:
    """A catalogue entry; `shelf` where it was read with its stock."""

    product_id: str
    name: str
    description: str
    amount: int
    currency: str
    active: bool
    version: int
    shelf: Shelf | None = None


@dataclass(frozen=True)
class Reservation:
    """What an order has been promised."""

    order_id: UUID
    state: State
    lines: Mapping[str, int]
    timer_id: UUID


class Catalogue(Protocol):
    """Products and their stock."""

    async def find(self, product_id: str) -> Product | None:
        """Return a product with its stock."""
        ...

    async def search(self, text: str, *, after: str, limit: int) -> list[Product]:
        """Return active products behind `after`, in order of their ids."""
        ...

    async def add(self, tx: Transaction, product: Product, units: int) -> Product | None:
        """Store a new product and put units on its shelf; None when the id is taken."""
        ...

    async def upsert(self, tx: Transaction, products: Sequence[tuple[Product, int]]) -> list[Product]:
        """Store many products, new or known, and put units on their shelves; return them, in any order."""
        ...

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
        ...

    async def count(self, tx: Transaction, product_id: str, on_hand: int) -> Shelf | None:
        """Set what is on hand; None when the product is unknown or more than that is promised."""
        ...


class Stock(Protocol):
    """Reservations and the stock they hold."""

    async def lock(self, tx: Transaction, products: Sequence[str]) -> dict[str, Shelf]:
        """Return the shelves of these products; nobody else changes them before the commit."""
        ...

    async def hold(
        self, tx: Transaction, order_id: UUID, lines: Mapping[str, int], *, expires: datetime, timer_id: UUID
    ) -> None:
        """Promise the lines to an order."""
        ...

    async def reservation(self, tx: Transaction, order_id: UUID) -> Reservation | None:
        """Return an order's reservation; nobody else changes it before the commit."""
        ...

    async def finish(self, tx: Transaction, reservation: Reservation, state: State) -> None:
        """Let the goods leave (committed) or give them back (released)."""
        ...
