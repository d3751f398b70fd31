"""Products over HTTP: catalogue for all, shelves for admins."""

import base64
import binascii
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from contracts.money import Money
from contracts.stock import ProductChanged
from corelib.api import Api, Reply, get, patch, post, put
from corelib.errors import Problem
from corelib.ids import uuid7
from corelib.message import Command
from corelib.objects import Objects
from corelib.transaction import Transaction
from svc_product.domain import Shelf
from svc_product.store import Catalogue, Product

ProductId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Units = Annotated[int, Field(strict=True, ge=0, le=10**9)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Description = Annotated[str, Field(max_length=2_000)]
_PRODUCT_ID: TypeAdapter[str] = TypeAdapter(ProductId)


class AddProduct(Command):
    """A new product with its first stock."""

    product_id: ProductId | None = None
    name: Name
    description: Description = ""
    price: Money
    stock: Units = 0


class StockedProduct(AddProduct):
    """A product of a bulk upload: its id is the caller's."""

    product_id: ProductId


class AddProducts(Command):
    """Up to 500 products at once, new or known; units are added to the shelves."""

    products: Annotated[list[StockedProduct], Field(min_length=1, max_length=500)]


class ChangeProduct(Command):
    """What is left out stays."""

    name: Name | None = None
    description: Description | None = None
    price: Money | None = None
    active: bool | None = None


class CountStock(Command):
    """The result of a stocktaking."""

    on_hand: Units


class Search(BaseModel):
    """`q` is a part of the name; `cursor` is `next` of the page before."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[str, Field(max_length=100)] = ""
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str, Field(max_length=200)] = ""


class StockView(BaseModel):
    """Units: what is there, what of it is promised, what can still be ordered."""

    on_hand: int
    reserved: int
    available: int


class ProductView(BaseModel):
    """A product as everyone sees it."""

    product_id: str
    name: str
    description: str
    price: Money
    active: bool
    version: int
    stock: StockView | None = None


class ProductPage(BaseModel):
    """A page of products; `next` is absent on the last one."""

    items: list[ProductView]
    next: str | None = None


class Added(BaseModel):
    """How many products a bulk upload wrote."""

    count: int


class ImageUrl(BaseModel):
    """Where to PUT the image, for fifteen minutes."""

    url: str
    key: str


class ProductsApi(Api):
    """The resource /api/v1/products."""

    def __init__(self, catalogue: Catalogue, images: Objects) -> None:
        self._catalogue = catalogue
        self._images = images

    @get("/api/v1/products")
    async def search(self, query: Search) -> ProductPage:
        """Search the catalogue, a page at a time."""
        found = await self._catalogue.search(query.q, after=_decode(query.cursor), limit=query.limit + 1)
        page = found[: query.limit]
        following = _encode(page[-1].product_id) if len(found) > query.limit else None
        return ProductPage(items=[_view(product) for product in page], next=following)

    @get("/api/v1/products/{product_id}")
    async def show(self, product_id: str) -> ProductView:
        """Show one product with its stock."""
        product = await self._catalogue.find(product_id)
        if product is None:
            raise _unknown(product_id)
        return _view(product)

    @post("/api/v1/products", status=201, roles=("admin",))
    async def add(self, body: AddProduct, tx: Transaction) -> Reply[ProductView]:
        """Add a product."""
        product = await self._catalogue.add(tx, _product(body), body.stock)
        if product is None:
            raise Problem(409, "product-exists", f"There is a product {body.product_id} already; change it instead.")
        tx.publish(_changed(product))
        return Reply(_view(product), headers={"Location": f"/api/v1/products/{product.product_id}"})

    @post("/api/v1/products/bulk", roles=("admin",))
    async def add_many(self, body: AddProducts, tx: Transaction) -> Added:
        """Add or change up to 500 products and put units on their shelves."""
        if len({product.product_id for product in body.products}) < len(body.products):
            raise Problem(422, "invalid-request", "/products: a product stands in it twice")
        written = await self._catalogue.upsert(tx, [(_product(entry), entry.stock) for entry in body.products])
        for product in written:
            tx.publish(_changed(product))
        return Added(count=len(written))

    @patch("/api/v1/products/{product_id}", roles=("admin",))
    async def change(self, product_id: str, body: ChangeProduct, tx: Transaction) -> ProductView:
        """Change a product."""
        product = await self._catalogue.change(
            tx,
            product_id,
            name=body.name,
            description=body.description,
            amount=body.price.amount if body.price else None,
            currency=body.price.currency if body.price else None,
            active=body.active,
        )
        if product is None:
            raise _unknown(product_id)
        tx.publish(_changed(product))
        return _view(product)

    @put("/api/v1/products/{product_id}/stock", roles=("admin",))
    async def count(self, product_id: str, body: CountStock, tx: Transaction) -> StockView:
        """Set what is on hand after a stocktaking."""
        shelf = await self._catalogue.count(tx, product_id, body.on_hand)
        if shelf is None:
            if await self._catalogue.find(product_id) is None:
                raise _unknown(product_id)
            raise Problem(409, "stock-promised", f"More than {body.on_hand} units are promised to orders.")
        return _stock(shelf)

    @post("/api/v1/products/{product_id}/image-url", status=201, roles=("admin",))
    async def image_url(self, product_id: str) -> ImageUrl:
        """Get a presigned URL to upload a product's image to."""
        if await self._catalogue.find(product_id) is None:
            raise _unknown(product_id)
        key = f"products/{product_id}/{uuid7()}"
        return ImageUrl(url=await self._images.presigned_put(key, content_type="image/jpeg"), key=key)


def _product(body: AddProduct) -> Product:
    return Product(
        product_id=body.product_id or str(uuid7()),
        name=body.name,
        description=body.description,
        amount=body.price.amount,
        currency=body.price.currency,
        active=True,
        version=1,
    )


def _changed(product: Product) -> ProductChanged:
    return ProductChanged(
        product_id=product.product_id,
        name=product.name,
        price=Money(amount=product.amount, currency=product.currency),
        active=product.active,
        version=product.version,
    )


def _view(product: Product) -> ProductView:
    return ProductView(
        product_id=product.product_id,
        name=product.name,
        description=product.description,
        price=Money(amount=product.amount, currency=product.currency),
        active=product.active,
        version=product.version,
        stock=_stock(product.shelf) if product.shelf else None,
    )


def _stock(shelf: Shelf) -> StockView:
    return StockView(on_hand=shelf.on_hand, reserved=shelf.reserved, available=shelf.available)


def _unknown(product_id: str) -> Problem:
    return Problem(404, "product-not-found", f"There is no product {product_id}.")


def _encode(product_id: str) -> str:
    return base64.urlsafe_b64encode(product_id.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    if not cursor:
        return ""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return _PRODUCT_ID.validate_python(base64.b64decode(padded, altchars=b"-_", validate=True).decode())
    except (binascii.Error, ValueError) as error:
        raise Problem(422, "invalid-request", "/cursor: this is not a cursor; use `next` of a page") from error
