"""HTTP endpoints: methods of an `Api`, declared with `@get`, `@post` and so on.

Parameters are bound by name and type: names in the path, `body`, `query`, `caller: Caller`, `tx: <Transaction>` (opened
and committed by corelib before the answer is sent), `request: web.Request`.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from corelib.errors import Problem

Idempotency = Literal["no", "optional", "required"]
Endpoint = Callable[..., Awaitable[Any]]
F = TypeVar("F", bound=Endpoint)
M = TypeVar("M", bound=BaseModel | None)
_MARK = "__corelib_operations__"


@dataclass(frozen=True)
class Operation:
    """What a decorator says of an endpoint."""

    method: str
    path: str
    status: int
    idempotent: Idempotency
    roles: frozenset[str]


@dataclass(frozen=True)
class Reply(Generic[M]):
    """An answer with a status or headers of its own: `-> Reply[OrderView]`, or `Reply[None]` without a body."""

    body: M | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Api:
    """A base that only marks the class."""

    def operations(self) -> Iterator[tuple[Operation, Endpoint]]:
        """Yield this api's operations with their bound methods."""
        for name in dict.fromkeys(name for kind in reversed(type(self).__mro__) for name in vars(kind)):
            for operation in getattr(getattr(type(self), name), _MARK, ()):
                yield operation, getattr(self, name)


def get(path: str, *, roles: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Declare an endpoint that reads."""
    return _declare("GET", path, 200, "no", roles)


def post(
    path: str, *, status: int = 200, idempotent: Idempotency = "no", roles: tuple[str, ...] = ()
) -> Callable[[F], F]:
    """Declare an endpoint that creates or acts; `idempotent` honours or demands an Idempotency-Key."""
    return _declare("POST", path, status, idempotent, roles)


def put(path: str, *, status: int = 200, roles: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Declare an endpoint that replaces."""
    return _declare("PUT", path, status, "no", roles)


def patch(path: str, *, status: int = 200, roles: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Declare an endpoint that changes a part."""
    return _declare("PATCH", path, status, "no", roles)


def delete(path: str, *, status: int = 204, roles: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Declare an endpoint that removes."""
    return _declare("DELETE", path, status, "no", roles)


def _declare(method: str, path: str, status: int, idempotent: Idempotency, roles: tuple[str, ...]) -> Callable[[F], F]:
    if not isinstance(path, str) or not path.startswith("/"):
        name = method.lower()
        raise TypeError(f'write @{name}("/path"), not @{name}: its path begins with /, unlike {path!r}')
    if idempotent not in get_args(Idempotency):
        raise TypeError(f"{path}: idempotent is one of {get_args(Idempotency)}, not {idempotent!r}")
    if isinstance(roles, str):  # its letters would be roles that nobody has
        raise TypeError(f"{path}: roles is a tuple of names: ({roles!r},), not {roles!r}")
    operation = Operation(method, path, status, idempotent, frozenset(roles))

    def declare(function: F) -> F:
        setattr(function, _MARK, (*getattr(function, _MARK, ()), operation))
        return function

    return declare


def validated(validate: Callable[[Any], Any], raw: Any) -> Any:
    """Return the model; raise `Problem` 400 for what is no JSON and 422 for what is not valid, by field.

    Bodies and queries that an endpoint declares are validated so; call it for what yours reads from the request itself.
    """
    try:
        return validate(raw)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        if found[0]["type"] == "json_invalid":
            raise Problem(400, "broken-json", f"The body is not JSON: {found[0]['msg']}.") from error
        errors = [
            {"pointer": "/" + "/".join(str(part) for part in problem["loc"]), "detail": problem["msg"]}
            for problem in found[:50]
        ]
        raise Problem(
            422, "invalid-request", f"{errors[0]['pointer']}: {errors[0]['detail']}", errors=errors
        ) from error
