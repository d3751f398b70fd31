"""The aiohttp application of a service: its apis behind tracing, metrics and problem documents."""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any

import structlog
from aiohttp import web
from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Histogram
from pydantic import BaseModel

from corelib import problem
from corelib.api import Api, Endpoint, Operation, Reply
from corelib.auth import Authenticator
from corelib.binding import Signature, binder, route, signature
from corelib.idempotency import InFlight, Key, key_of, remember
from corelib.metrics import HTTP_IN_FLIGHT, HTTP_REQUESTS, HTTP_SECONDS
from corelib.once import run_once
from corelib.store import Store
from corelib.tracing import current_traceparent, span
from corelib.transaction import Transaction

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger(__name__)


def application(
    apis: Sequence[Api], store: Store, authenticator: Authenticator | None, *, body_limit_bytes: int
) -> web.Application:
    """Return the application with a route for each operation."""
    app = web.Application(middlewares=[observed], client_max_size=body_limit_bytes)
    in_flight = InFlight()
    for api in apis:
        for operation, endpoint in api.operations():
            sign = signature(operation, endpoint)
            handler = _handler(operation, endpoint, sign, store=store, authenticator=authenticator, in_flight=in_flight)
            app.router.add_route(operation.method, route(operation, sign), handler)
    return app


@web.middleware
async def observed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put each request on a trace, count and time it, and answer errors as problem documents."""
    resource = request.match_info.route.resource
    address = resource.canonical if resource is not None else "(none)"
    began = time.perf_counter()
    HTTP_IN_FLIGHT.inc()
    status = 500
    try:
        with span(f"{request.method} {address}", SpanKind.SERVER, request.headers.get("traceparent")):
            response = await _answered(request, handler)
            status = response.status
            return response
    finally:
        HTTP_IN_FLIGHT.dec()
        seconds, requests = _meters(request.method, address, status)
        seconds.observe(time.perf_counter() - began)
        requests.inc()


@lru_cache(maxsize=1_024)
def _meters(method: str, address: str, status: int) -> tuple[Histogram, Counter]:
    """Return the metrics of an answer; finding them by their labels costs more than counting."""
    return HTTP_SECONDS.labels(method, address), HTTP_REQUESTS.labels(method, address, str(status))


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Exception as error:
        known = problem.of(error)
        if known is None:
            log.exception("request failed", method=request.method, path=request.path)
            known = problem.fault()
        return problem.response(known)


def _handler(
    operation: Operation,
    endpoint: Endpoint,
    sign: Signature,
    *,
    store: Store,
    authenticator: Authenticator | None,
    in_flight: InFlight,
) -> Handler:
    bind = binder(operation, sign, authenticator)

    async def handle(request: web.Request) -> web.StreamResponse:
        arguments = await bind(request)
        if not sign.wants_tx:
            return _respond(operation, await endpoint(**arguments))
        key = None
        if operation.idempotent != "no":
            caller = arguments.get("caller")
            key = key_of(
                request,
                operation.path,
                caller.user_id if caller else None,
                await request.read(),
                operation.idempotent,
            )
        if key is None:
            return await _transact(operation, endpoint, store, arguments, None)
        bound = key
        return await in_flight.run(bound, lambda: _transact(operation, endpoint, store, arguments, bound))

    return handle


async def _transact(
    operation: Operation, endpoint: Endpoint, store: Store, arguments: dict[str, Any], key: Key | None
) -> web.Response:
    async def work(tx: Transaction) -> web.Response:
        response = _respond(operation, await endpoint(**arguments, tx=tx))
        if key is not None:
            remember(tx, key, response)
        return response

    return await run_once(store, work, mark=key.mark if key is not None else None, traceparent=current_traceparent())


def _respond(operation: Operation, result: Any) -> web.Response:
    if isinstance(result, web.Response):
        return result
    status, headers = operation.status, {}
    if isinstance(result, Reply):
        status, headers, result = result.status or status, dict(result.headers), result.body
    if result is None:
        return web.Response(status=status if status != 200 else 204, headers=headers)  # noqa: PLR2004 -- OK without content
    if not isinstance(result, BaseModel):
        raise TypeError(f"{operation.method} {operation.path} must return a pydantic model, Reply or None")
    return web.Response(
        body=result.model_dump_json().encode(), status=status, headers=headers, content_type="application/json"
    )


def signatures(apis: Sequence[Api]) -> list[tuple[Operation, Endpoint, Signature]]:
    """Return every operation with its parameters, for the OpenAPI document."""
    return [
        (operation, endpoint, signature(operation, endpoint))
        for api in apis
        for operation, endpoint in api.operations()
    ]
