"""A client of the shop's public HTTP API, as a web front end would use it: retries what is safe, keeps its tokens."""

import asyncio
import hashlib
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from devstack.baskets import CURRENCY, MAX_LINES, Basket, Product

FINAL = frozenset({"confirmed", "rejected", "cancelled"})
_RETRIED = frozenset({409, 425, 429, 500, 502, 503, 504})


class Refused(Exception):
    """Raised when the shop answers with a problem that a retry does not mend."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{status}: {problem}")
        self.status = status
        self.problem = problem


@dataclass
class Shopper:
    """Speaks to the gateway. `salt` keeps the accounts of one run apart from those of another."""

    session: aiohttp.ClientSession
    gateway: str
    salt: str
    tokens: dict[str, str] = field(default_factory=dict)
    retries: int = 0
    patience_seconds: float = 90.0

    async def call(
        self, method: str, path: str, *, token: str = "", body: object = None, key: str = ""
    ) -> dict[str, Any]:
        """Call until an answer is final; raise `Refused` on a 4xx and `TimeoutError` when patience ends."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if key:
            headers["Idempotency-Key"] = key
        deadline = time.monotonic() + self.patience_seconds
        pause = 0.05
        while True:
            try:
                async with self.session.request(method, f"{self.gateway}{path}", json=body, headers=headers) as answer:
                    content = await answer.json(content_type=None) if answer.status != 204 else {}  # noqa: PLR2004 -- No Content
                    if answer.status < 400:  # noqa: PLR2004 -- HTTP's own line between answer and refusal
                        return dict(content)
                    if answer.status not in _RETRIED or (answer.status == 409 and not key):  # noqa: PLR2004 -- Conflict
                        raise Refused(answer.status, content)
            except (aiohttp.ClientError, TimeoutError):
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"{method} {path} found no answer in {self.patience_seconds:.0f} s")
            self.retries += 1
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 -- jitter, not cryptography
            pause = min(pause * 2, 1.0)

    async def sign_in(self, email: str, password: str) -> str:
        """Return an access token."""
        answer = await self.call("POST", "/api/v1/users/tokens", body={"email": email, "password": password})
        return str(answer["access_token"])

    async def register(self, household: str) -> None:
        """Open an account for a household and sign it in; an account that exists is signed in."""
        email = f"household-{household}-{self.salt}@example.com"
        password = hashlib.sha256(email.encode()).hexdigest()[:24]
        try:
            await self.call(
                "POST",
                "/api/v1/users",
                body={"email": email, "password": password, "name": f"Household {household}"},
            )
        except Refused as refused:
            if refused.status != 409:  # noqa: PLR2004 -- Conflict: a retry of a registration that went through
                raise
        self.tokens[household] = await self.sign_in(email, password)

    async def stock_shelves(self, admin: str, products: Sequence[Product]) -> None:
        """Put products with price and stock into the catalogue, 500 a call."""
        for start in range(0, len(products), 500):
            items = [
                {
                    "product_id": product.product_id,
                    "name": product.name,
                    "description": product.description,
                    "price": {"amount": product.price, "currency": CURRENCY},
                    "stock": product.stock,
                }
                for product in products[start : start + 500]
            ]
            await self.call("POST", "/api/v1/products/bulk", token=admin, body={"products": items})

    async def place(self, basket: Basket) -> dict[str, Any]:
        """Place a basket as an order; the basket's id makes the call safe to repeat."""
        return await self.call(
            "POST",
            "/api/v1/orders",
            token=self.tokens[basket.household],
            body={"lines": [{"product_id": product, "quantity": count} for product, count in basket.lines]},
            key=f"basket-{basket.basket_id}-{self.salt}",
        )

    async def order(self, household: str, order_id: str) -> dict[str, Any]:
        """Return an order as its owner sees it."""
        return await self.call("GET", f"/api/v1/orders/{order_id}", token=self.tokens[household])

    async def until_sold(self, products: Sequence[str]) -> None:
        """Return when every product can be ordered, that is, when svc-order knows its price."""
        token = next(iter(self.tokens.values()))
        deadline = time.monotonic() + self.patience_seconds
        for start in range(0, len(products), MAX_LINES):
            lines = [{"product_id": product, "quantity": 1} for product in products[start : start + MAX_LINES]]
            while True:
                try:
                    await self.call("PUT", "/api/v1/carts/me", token=token, body={"lines": lines})
                    break
                except Refused as refused:
                    if refused.status != 422 or time.monotonic() > deadline:  # noqa: PLR2004 -- Unprocessable Content
                        raise
                    await asyncio.sleep(0.2)
        await self.call("DELETE", "/api/v1/carts/me", token=token)
