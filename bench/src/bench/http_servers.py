"""One endpoint, three times: `python -m bench.http_servers corelib|aiohttp|fastapi PORT`.

Each takes an order of three lines, validates it by the same pydantic model, and answers with another.
"""

import sys
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from corelib.ids import uuid7


class Line(BaseModel):
    """What is ordered of one thing."""

    model_config = ConfigDict(extra="forbid")

    sku: Annotated[str, Field(min_length=1, max_length=40)]
    quantity: Annotated[int, Field(gt=0, le=1_000)]
    price: Annotated[int, Field(ge=0)]


class PlaceOrder(BaseModel):
    """An order."""

    model_config = ConfigDict(extra="forbid")

    customer: UUID
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    lines: Annotated[list[Line], Field(min_length=1, max_length=100)]


class Placed(BaseModel):
    """The answer."""

    id: UUID
    total: int
    currency: str


def placed(order: PlaceOrder) -> Placed:
    """Do the work."""
    return Placed(id=uuid7(), total=sum(line.quantity * line.price for line in order.lines), currency=order.currency)


def serve_corelib(port: int) -> None:
    """Serve a whole service: tracing, metrics, problem documents and health come with it."""
    # Each server imports what it needs and no more.
    from corelib.api import Api, post  # noqa: PLC0415
    from corelib.config import ServiceSettings  # noqa: PLC0415
    from corelib.main import serve  # noqa: PLC0415
    from corelib.postgres.store import Postgres  # noqa: PLC0415
    from corelib.service import Service  # noqa: PLC0415

    class Orders(Api):
        @post("/orders", status=201)
        async def place(self, body: PlaceOrder) -> Placed:
            return placed(body)

    settings = ServiceSettings(port=port, log_level="warning", provision=True)
    serve(Service("bench", settings, store=Postgres(settings.postgres_dsn, schema="http"), apis=[Orders()]))


def serve_aiohttp(port: int) -> None:
    """Serve a bare aiohttp application."""
    import uvloop  # noqa: PLC0415
    from aiohttp import web  # noqa: PLC0415
    from pydantic import ValidationError  # noqa: PLC0415

    async def place(request: web.Request) -> web.Response:
        try:
            order = PlaceOrder.model_validate_json(await request.read())
        except ValidationError as error:
            return web.Response(status=422, text=error.json(), content_type="application/json")
        body = placed(order).model_dump_json().encode()
        return web.Response(status=201, body=body, content_type="application/json")

    application = web.Application()
    application.router.add_post("/orders", place)
    uvloop.install()
    web.run_app(application, host="127.0.0.1", port=port, access_log=None, print=None)


def serve_fastapi(port: int) -> None:
    """Serve FastAPI on uvicorn with uvloop and httptools, without an access log."""
    import uvicorn  # noqa: PLC0415
    from fastapi import FastAPI  # noqa: PLC0415

    application: Any = FastAPI()

    async def place(order: PlaceOrder) -> Placed:
        return placed(order)

    application.post("/orders", status_code=201, response_model=Placed)(place)
    uvicorn.run(
        application, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )


SERVERS = {"corelib": serve_corelib, "aiohttp": serve_aiohttp, "fastapi": serve_fastapi}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](int(sys.argv[2]))
