"""Products, stock and reservations in PostgreSQL.

`product` (product_id, name, description, amount, currency, active, version), `stock` (product_id, supplied, on_hand,
reserved: units; `supplied` is all that was ever put on the shelf), `reservation` (order_id, status, lines, expires_at,
timer_id). Stock is taken and given back in the order of product ids, so that two orders never wait for each other.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from corelib.postgres.store import Postgres
from corelib.postgres.transaction import sql
from corelib.transaction import Transaction
from svc_product.domain import Shelf, State
from svc_product.store import Product, Reservation

MIGRATIONS = (
    """
    CREATE TABLE IF NOT EXISTS product (
        product_id text PRIMARY KEY,
        name text NOT NULL,
        description text NOT NULL DEFAULT '',
        amount bigint NOT NULL CHECK (amount >= 0),
        currency text NOT NULL,
        active boolean NOT NULL DEFAULT true,
        image_key text,
        version bigint NOT NULL DEFAULT 1
    );
    CREATE INDEX IF NOT EXISTS product_name ON product (lower(name) text_pattern_ops);
    CREATE TABLE IF NOT EXISTS stock (
        product_id text PRIMARY KEY REFERENCES product,
        supplied bigint NOT NULL,
        on_hand bigint NOT NULL CHECK (on_hand >= 0),
        reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0 AND reserved <= on_hand)
    );
    CREATE TABLE IF NOT EXISTS reservation (
        order_id uuid PRIMARY KEY,
        status text NOT NULL,
        lines jsonb NOT NULL,
        expires_at timestamptz NOT NULL,
        timer_id uuid NOT NULL
    );
    """,
)

# -- upsert_products -- many at once; an existing product gets the new words and price, and a higher version.
_UPSERT = """
INSERT INTO product (product_id, name, description, amount, currency)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[])
ON CONFLICT (product_id) DO UPDATE SET name = excluded.name, description = excluded.description,
    amount = excluded.amount, currency = excluded.currency, active = true, version = product.version + 1
RETURNING *
"""
# -- insert_product --
_INSERT = """
INSERT INTO product (product_id, name, description, amount, currency)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING *
"""
# -- supply -- puts units on the shelf.
_SUPPLY = """
INSERT INTO stock (product_id, supplied, on_hand)
SELECT product_id, units, units FROM unnest($1::text[], $2::bigint[]) AS s (product_id, units) ORDER BY product_id
ON CONFLICT (product_id) DO UPDATE
SET supplied = stock.supplied + excluded.supplied, on_hand = stock.on_hand + excluded.on_hand
"""
# -- count_stock -- a stocktaking: what is on hand is set, and what was supplied follows.
_COUNT = """
UPDATE stock SET supplied = supplied + ($2 - on_hand), on_hand = $2
WHERE product_id = $1 AND reserved <= $2 RETURNING on_hand, reserved
"""
# -- change_product --
_CHANGE = """
UPDATE product SET name = coalesce($2, name), description = coalesce($3, description), amount = coalesce($4, amount),
    currency = coalesce($5, currency), active = coalesce($6, active), version = version + 1
WHERE product_id = $1 RETURNING *
"""
# -- one_product --
_ONE = "SELECT p.*, s.on_hand, s.reserved FROM product p LEFT JOIN stock s USING (product_id) WHERE product_id = $1"
# -- list_products -- keyset paging: a page costs the same wherever it stands.
_LIST = """
SELECT p.*, s.on_hand, s.reserved FROM product p LEFT JOIN stock s USING (product_id)
WHERE active AND product_id > $1 AND ($2 = '' OR name ILIKE '%' || $2 || '%' ESCAPE '\\')
ORDER BY product_id LIMIT $3
"""
# -- lock_stock --
_LOCK = """
SELECT product_id, on_hand, reserved FROM stock WHERE product_id = ANY($1::text[]) ORDER BY product_id FOR UPDATE
"""
# -- move_stock -- adds to on_hand and reserved.
_MOVE = """
UPDATE stock SET on_hand = stock.on_hand + d.on_hand, reserved = stock.reserved + d.reserved
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS d (product_id, on_hand, reserved)
WHERE stock.product_id = d.product_id
"""
# -- insert_reservation --
_RESERVE = "INSERT INTO reservation (order_id, status, lines, expires_at, timer_id) VALUES ($1, $2, $3::jsonb, $4, $5)"
# -- lock_reservation --
_RESERVATION = "SELECT * FROM reservation WHERE order_id = $1 FOR UPDATE"
# -- set_reservation --
_SET = "UPDATE reservation SET status = $2 WHERE order_id = $1"


class SqlCatalogue:
    """Implements `Catalogue`."""

    def __init__(self, db: Postgres) -> None:
        self._db = db

    async def find(self, product_id: str) -> Product | None:
        """Return a product with its stock."""
        row = await self._db.fetchrow(_ONE, product_id)
        return _product(row) if row else None

    async def search(self, text: str, *, after: str, limit: int) -> list[Product]:
        """Return active products behind `after`, in order of their ids."""
        words = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return [_product(row) for row in await self._db.fetch(_LIST, after, words, limit)]

    async def add(self, tx: Transaction, product: Product, units: int) -> Product | None:
        """Store a new product and put units on its shelf; None when the id is taken."""
        row = await sql(tx).fetchrow(
            _INSERT, product.product_id, product.name, product.description, product.amount, product.currency
        )
        if row is None:
            return None
        await sql(tx).execute(_SUPPLY, [product.product_id], [units])
        return _product(row)

    async def upsert(self, tx: Transaction, products: Sequence[tuple[Product, int]]) -> list[Product]:
        """Store many products, new or known, and put units on their shelves."""
        ordered = sorted(products, key=lambda entry: entry[0].product_id)
        rows = await sql(tx).fetch(
            _UPSERT,
            [product.product_id for product, _ in ordered],
            [product.name for product, _ in ordered],
            [product.description for product, _ in ordered],
            [product.amount for product, _ in ordered],
            [product.currency for product, _ in ordered],
        )
        await sql(tx).execute(_SUPPLY, [p.product_id for p, _ in ordered], [units for _, units in ordered])
        return [_product(row) for row in rows]

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
        row = await sql(tx).fetchrow(_CHANGE, product_id, name, description, amount, currency, active)
        return _product(row) if row else None

    async def count(self, tx: Transaction, product_id: str, on_hand: int) -> Shelf | None:
        """Set what is on hand; None when the product is unknown or more than that is promised."""
        row = await sql(tx).fetchrow(_COUNT, product_id, on_hand)
        return Shelf(row["on_hand"], row["reserved"]) if row else None


class SqlStock:
    """Implements `Stock`."""

    async def lock(self, tx: Transaction, products: Sequence[str]) -> dict[str, Shelf]:
        """Return the shelves of these products, locked until the commit."""
        rows = await sql(tx).fetch(_LOCK, sorted(products))
        return {row["product_id"]: Shelf(row["on_hand"], row["reserved"]) for row in rows}

    async def hold(
        self, tx: Transaction, order_id: UUID, lines: Mapping[str, int], *, expires: datetime, timer_id: UUID
    ) -> None:
        """Promise the lines to an order."""
        await self._move(tx, lines, on_hand=0, reserved=1)
        await sql(tx).execute(_RESERVE, order_id, State.HELD, orjson.dumps(dict(lines)).decode(), expires, timer_id)

    async def reservation(self, tx: Transaction, order_id: UUID) -> Reservation | None:
        """Return an order's reservation, locked until the commit."""
        row = await sql(tx).fetchrow(_RESERVATION, order_id)
        if row is None:
            return None
        return Reservation(order_id, State(row["status"]), orjson.loads(row["lines"]), row["timer_id"])

    async def finish(self, tx: Transaction, reservation: Reservation, state: State) -> None:
        """Let the goods leave (committed) or give them back (released)."""
        await self.lock(tx, list(reservation.lines))
        await self._move(tx, reservation.lines, on_hand=-1 if state is State.COMMITTED else 0, reserved=-1)
        await sql(tx).execute(_SET, reservation.order_id, state)

    async def _move(self, tx: Transaction, lines: Mapping[str, int], *, on_hand: int, reserved: int) -> None:
        units = list(lines.values())
        await sql(tx).execute(_MOVE, list(lines), [on_hand * u for u in units], [reserved * u for u in units])


def _product(row: asyncpg.Record) -> Product:
    on_hand = row.get("on_hand")
    return Product(
        product_id=row["product_id"],
        name=row["name"],
        description=row["description"],
        amount=row["amount"],
        currency=row["currency"],
        active=row["active"],
        version=row["version"],
        shelf=None if on_hand is None else Shelf(on_hand, row["reserved"]),
    )
