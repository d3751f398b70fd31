"""The aiohttp application of a service: its apis behind tracing, metrics and problem documents."""

import math
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import structlog
from aiohttp import web
from opentelemetry.trace import SpanKind
from pydantic import BaseModel
from pydantic_core import to_json

from corelib.api import Api, Endpoint, Operation, Reply
from corelib.auth import Authenticator
from corelib.cancellation import own_cancellation_only
from corelib.errors import TooLarge, Unavailable
from corelib.exception_groups import ungrouped
from corelib.http import problem
from corelib.http.binding import Signature, binder, route, signature, whole_body
from corelib.http.idempotency import InFlight, Key, key_of, remember
from corelib.metrics import HTTP_IN_FLIGHT, HTTP_SECONDS
from corelib.once import run_once
from corelib.store import Store
from corelib.tracing import current_traceparent, opener
from corelib.transaction import Transaction

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_REPEATED_SECONDS = 60.0

log = structlog.get_logger(__name__)


def application(
    apis: Sequence[Api],
    store: Store,
    authenticator: Authenticator | None,
    beside: Iterable[web.RouteDef],
    *,
    body_limit_bytes: int,
    namespace: str = problem.NAMESPACE,
) -> web.Application:
    """Return the application with a route for each operation, those `beside` them, and an answer for all else.

    Raises `TypeError` where two have the same address.
    """
    app = web.Application(client_max_size=body_limit_bytes)
    in_flight = InFlight()
    beside = list(beside)
    served = signatures(apis)
    _require_distinct(served, beside)
    for operation, endpoint, sign in served:
        handler = _handler(operation, endpoint, sign, store=store, authenticator=authenticator, in_flight=in_flight)
        app.router.add_route(operation.method, route(operation, sign), observed(operation.path, handler, namespace))
    app.router.add_routes(
        web.RouteDef(known.method, known.path, observed(known.path, known.handler, namespace), known.kwargs)
        for known in beside
    )
    # The last one: the router asks resources of an equal prefix in the order in which they came.
    app.router.add_route("*", r"/{anything:[\s\S]*}", observed("(none)", _nothing_here, namespace))
    server = _Server("")
    server.add_route("OPTIONS", observed(server.canonical, _here, namespace))
    app.router.register_resource(server)
    return app


def _require_distinct(served: Iterable[tuple[Operation, Endpoint, Signature]], beside: Iterable[web.RouteDef]) -> None:
    """The second of two endpoints at one address would never be asked. What a parameter is called is no difference."""
    known = {(one.method, one.path): "corelib's own" for one in beside}
    for operation, endpoint, sign in served:
        address = (operation.method, re.sub(r"\{\w+", "{", route(operation, sign)))
        if address in known:
            raise TypeError(
                f"{operation.method} {operation.path} is there twice, as {known[address]} and {_said(endpoint)}:"
                " change the path of one"
            )
        known[address] = _said(endpoint)


def _said(endpoint: Endpoint) -> str:
    return f"{type(getattr(endpoint, '__self__', endpoint)).__name__}.{endpoint.__name__}"


class _Server(web.PlainResource):
    """The server as a whole: the target `*` of RFC 9110, 9.3.7, which aiohttp takes for no path."""

    @property
    def canonical(self) -> str:
        return "*"

    def _match(self, path: str) -> dict[str, str] | None:
        return {} if path == self.canonical else None


def observed(address: str, handler: Handler, namespace: str) -> Handler:
    """Return the handler on a trace, counted and timed, with errors answered as problem documents.

    A wrapper of each handler: the way that aiohttp takes to a middleware costs as much as all that is done here.
    """
    opened, outages = opener(), _Outages()

    async def observe(request: web.Request) -> web.StreamResponse:
        began = time.perf_counter()
        HTTP_IN_FLIGHT.now += 1
        status = 500
        try:
            with opened(f"{request.method} {address}", SpanKind.SERVER, request.headers.get("traceparent")):
                try:
                    with own_cancellation_only:
                        response = await handler(request)
                except Exception as error:  # noqa: BLE001 -- one that is a fault of ours is logged there
                    response = _refused(request, error, outages, namespace)
                status = response.status
                return response
        finally:
            HTTP_IN_FLIGHT.now -= 1
            HTTP_SECONDS.labels(request.method, address, str(status)).observe(time.perf_counter() - began)

    return observe


class _Outages:
    """Says of what an endpoint needs and is unavailable why, once a minute: each request finds it so meanwhile."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def say(self, request: web.Request, error: Unavailable) -> None:
        now = time.monotonic()
        if now - self._said.get(error.dependency, -math.inf) >= _REPEATED_SECONDS:
            self._said[error.dependency] = now
            log.warning("request needs what is away", method=request.method, path=request.path, reason=str(error))


def _refused(request: web.Request, error: Exception, outages: _Outages, namespace: str) -> web.Response:
    known = problem.of(error)
    if known is None:
        log.error("request failed", method=request.method, path=request.path, exc_info=error)
        known = problem.fault()
    elif isinstance(error, TooLarge):
        # What is too large is said here, not to the caller, who knows nothing of events and channels.
        log.warning("request asks for too much", method=request.method, path=request.path, reason=str(error))
    elif isinstance(error, Unavailable):
        outages.say(request, error)
    return problem.response(known, namespace)


async def _here(_: web.Request) -> web.StreamResponse:
    """Answer `OPTIONS *`, which asks for no more than that somebody answers."""
    return web.Response(status=204)


async def _nothing_here(request: web.Request) -> web.StreamResponse:
    """Raise what the router would have: 405 with the methods that the address has, or 404."""
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        match, methods = await resource.resolve(request)
        if match is None:
            allowed |= methods
    if allowed:
        raise web.HTTPMethodNotAllowed(request.method, allowed)
    raise web.HTTPNotFound


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

    async def answer(request: web.Request) -> web.StreamResponse:
        arguments = await bind(request)
        with ungrouped:
            return _respond(operation, await endpoint(**arguments))

    async def transact(request: web.Request) -> web.StreamResponse:
        arguments = await bind(request)
        key = None
        if operation.idempotent != "no":
            caller = arguments.get("caller")
            key = key_of(
                request,
                operation.path,
                caller.user_id if caller else None,
                await whole_body(request),
                operation.idempotent,
            )
        if key is None:
            return await _transact(operation, endpoint, store, arguments, None)
        bound = key
        return await in_flight.run(bound, lambda: _transact(operation, endpoint, store, arguments, bound))

    return transact if sign.wants_tx else answer


async def _transact(
    operation: Operation, endpoint: Endpoint, store: Store, arguments: dict[str, Any], key: Key | None
) -> web.Response:
    async def work(tx: Transaction) -> web.Response:
        with ungrouped:
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
        raise TypeError(
            f"{operation.method} {operation.path} must return a pydantic model, Reply or None, not {result!r:.100}"
        )
    return web.Response(body=to_json(result), status=status, headers=headers, content_type="application/json")


def signatures(apis: Sequence[Api]) -> list[tuple[Operation, Endpoint, Signature]]:
    """Return every operation with its endpoint and what that takes. Raises `TypeError` if one cannot be bound."""
    return [
        (operation, endpoint, signature(operation, endpoint))
        for api in apis
        for operation, endpoint in api.operations()
    ]
