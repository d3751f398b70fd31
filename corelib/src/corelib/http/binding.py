"""Binds a request to an endpoint's parameters; all reflection happens once, when the service is built."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from corelib.api import Endpoint, Operation, Reply, validated
from corelib.auth import Authenticator, Caller
from corelib.errors import Problem
from corelib.transaction import Transaction

_JSON = "application/json"
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


@dataclass(frozen=True)
class Signature:
    """An endpoint's parameters by kind."""

    path: dict[str, TypeAdapter[Any]]
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    wants_caller: bool
    wants_tx: bool
    wants_request: bool
    returns: type[BaseModel] | None


_ANSWERS = (BaseModel, Reply, NoneType, web.StreamResponse)
_KINDS: Mapping[str, type] = {
    "body": BaseModel,
    "query": BaseModel,
    "caller": Caller,
    "tx": Transaction,
    "request": web.Request,
}


def signature(operation: Operation, endpoint: Endpoint) -> Signature:
    """Read an endpoint's parameters. Raises `TypeError` for one that cannot be bound."""
    hints = get_type_hints(endpoint)
    returns = hints.pop("return", None)
    bare = inspect.signature(endpoint).parameters.keys() - hints.keys()
    if bare:
        raise TypeError(f"{endpoint.__qualname__}: {', '.join(sorted(bare))} must be annotated")
    if not inspect.iscoroutinefunction(endpoint):
        raise TypeError(f"{endpoint.__qualname__} must be `async def`")
    path = {name: TypeAdapter(hints.pop(name)) for name in list(hints) if f"{{{name}}}" in operation.path}
    found: dict[str, Any] = {}
    for name, kind in _KINDS.items():
        found[name] = hint = hints.pop(name, None)
        if hint is not None and not _is_kind(hint, kind):
            raise TypeError(f"{endpoint.__qualname__}: {name} must be a {kind.__name__}, not {hint}")
    if operation.idempotent != "no" and found["tx"] is None:
        raise TypeError(f"{endpoint.__qualname__}: an Idempotency-Key is kept with what it did: ask for `tx` too")
    if hints:
        raise TypeError(
            f"{endpoint.__qualname__}: cannot bind {', '.join(hints)}: parameters are those in the path,"
            f" {operation.path}, and body, query, caller, tx and request"
        )
    return Signature(
        path=path,
        body=found["body"],
        query=found["query"],
        wants_caller=found["caller"] is not None,
        wants_tx=found["tx"] is not None,
        wants_request=found["request"] is not None,
        returns=_returned(endpoint, returns),
    )


def _returned(endpoint: Endpoint, hint: Any) -> type[BaseModel] | None:
    """Return the model of an answer, if it has one."""
    inner = get_args(hint)[0] if get_origin(hint) is Reply else hint
    kinds = get_args(inner) if get_origin(inner) in {Union, UnionType} else (inner,)
    for kind in kinds:
        if kind not in {None, Any} and not any(_is_kind(kind, known) for known in _ANSWERS):
            raise TypeError(
                f"{endpoint.__qualname__} returns {hint}: an endpoint returns a pydantic model, Reply[model],"
                " web.Response or None"
            )
    return next((kind for kind in kinds if _is_kind(kind, BaseModel)), None)


def route(operation: Operation, sign: Signature) -> str:
    """Return the router's pattern: what is no UUID is another address, so that `/orders/export` can stand beside."""
    pattern = operation.path
    for name, adapter in sign.path.items():
        if _is_uuid(adapter):
            pattern = pattern.replace(f"{{{name}}}", f"{{{name}:{_UUID}}}")
    return pattern


def _is_uuid(adapter: TypeAdapter[Any]) -> bool:
    return adapter.core_schema.get("type") == "uuid"


def _is_kind(hint: Any, kind: type) -> bool:
    return inspect.isclass(hint) and issubclass(hint, kind)


def binder(
    operation: Operation, sign: Signature, authenticator: Authenticator | None
) -> Callable[[web.Request], Awaitable[dict[str, Any]]]:
    """Return the function that takes a request to keyword arguments, without `tx`. It raises `Problem`.

    Raises `TypeError` where callers must be known and nobody can tell who they are.
    """
    asked = _asked(operation, sign, authenticator)

    async def bind(request: web.Request) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        if "%00" in request.raw_path:
            raise Problem(404, "not-found", "There is nothing here: the address contains the character NUL.")
        if asked is not None:
            caller = await _caller(request, asked, operation)
            if sign.wants_caller:
                arguments["caller"] = caller
        for name, adapter in sign.path.items():
            arguments[name] = _path(name, request.match_info[name], adapter)
        if sign.query is not None:
            arguments["query"] = validated(sign.query.model_validate, dict(request.query))
        if sign.body is not None:
            _require_json(request)
            arguments["body"] = validated(sign.body.model_validate_json, _readable(await whole_body(request)))
        if sign.wants_request:
            arguments["request"] = request
        return arguments

    return bind


async def whole_body(request: web.Request) -> bytes:
    """Return a request's body. Raises `Problem` for one that is too large, or did not come as it was announced."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Problem(413, "content-too-large", str(error.text)) from error
    except (web.RequestPayloadError, ConnectionResetError) as error:
        raise Problem(400, "broken-body", f"The body did not come whole, or as its headers say: {error}") from error


def _asked(operation: Operation, sign: Signature, authenticator: Authenticator | None) -> Authenticator | None:
    """Return who tells who calls, None where it does not matter."""
    if not (sign.wants_caller or operation.roles):
        return None
    if authenticator is None:
        raise TypeError(f"{operation.method} {operation.path} wants a caller: give Service(authenticator=...)")
    return authenticator


async def _caller(request: web.Request, authenticator: Authenticator, operation: Operation) -> Caller:
    caller = await authenticator.caller(request.headers.get("Authorization"))
    if operation.roles and not operation.roles & caller.roles:
        raise Problem(403, "forbidden", f"This needs the role {' or '.join(sorted(operation.roles))}.")
    return caller


def _path(name: str, raw: str, adapter: TypeAdapter[Any]) -> Any:
    try:
        return adapter.validate_python(raw)
    except ValidationError as error:
        raise Problem(404, "not-found", f"There is nothing here: {name} is not valid.") from error


def _require_json(request: web.Request) -> None:
    # Most clients send just this, and aiohttp takes its time to find parameters in it.
    if request.headers.get("Content-Type") != _JSON and request.content_type != _JSON:
        raise Problem(415, "unsupported-media-type", f"Send Content-Type: {_JSON}, not {request.content_type}.")


def _readable(body: bytes) -> bytes:
    if not body:
        raise Problem(400, "broken-json", "The body is empty.")
    if b"\\u0000" in body or b"\0" in body:
        raise Problem(422, "invalid-request", "The body contains the character NUL, which no text here may have.")
    return body
