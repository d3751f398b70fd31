"""Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): the answer is kept in the transaction that earned it."""

from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
from aiohttp import web

from corelib.api import Idempotency
from corelib.errors import Duplicate, Problem
from corelib.transaction import Mark, Transaction

_LONGEST_KEY = 255
_VISIBLE = range(0x21, 0x7F)
# What aiohttp says of each message anew.
_OF_THE_MESSAGE = frozenset({"Content-Length", "Date", "Server"})


@dataclass(frozen=True)
class Key:
    """A valid key of one caller on one route, with the fingerprint of the request."""

    mark: Mark
    fingerprint: str


@dataclass
class InFlight:
    """The keys that this process is working on."""

    _marks: set[tuple[str, str]] = field(default_factory=set)

    async def run(self, key: Key, work: Callable[[], Awaitable[web.Response]]) -> web.Response:
        """Return the answer, or the stored one of an earlier request. Raises `Problem` 409 and 422."""
        name = (key.mark.scope, key.mark.id)
        if name in self._marks:
            problem = Problem(409, "request-in-flight", "A request with this Idempotency-Key is being worked on.")
            problem.headers["Retry-After"] = "1"
            raise problem
        self._marks.add(name)
        try:
            return await work()
        except Duplicate as duplicate:
            return _stored(key, duplicate.remembered)
        finally:
            self._marks.discard(name)


def key_of(request: web.Request, route: str, caller: UUID | None, body: bytes, demand: Idempotency) -> Key | None:
    """Return the request's key. Raises `Problem` 400 for a malformed or missing one."""
    raw = request.headers.get("Idempotency-Key", "")
    if not raw and demand != "required":
        return None
    if not raw or len(raw) > _LONGEST_KEY or any(ord(character) not in _VISIBLE for character in raw):
        raise Problem(
            400,
            "idempotency-key-required",
            f"Send a header Idempotency-Key of 1 to {_LONGEST_KEY} visible ASCII characters, new for each request.",
        )
    # What the route leaves open, its parameters and the query, is as much of the request as its body.
    asked = request.raw_path.encode() + b"\n" + body
    return Key(Mark(f"http:{request.method}:{route}:{caller}", raw), sha256(asked).hexdigest())


def remember(tx: Transaction, key: Key, response: web.Response) -> None:
    """Keep the answer with the mark: it commits with the work.

    Raises `TypeError` for one that cannot be kept, `TooLarge` for one that there is no room for.
    """
    body = response.body or b""
    if not isinstance(body, bytes):
        raise TypeError(f"an answer that is kept under an Idempotency-Key must be bytes, not a {type(body).__name__}")
    stored: dict[str, Any] = {
        "fingerprint": key.fingerprint,
        "status": response.status,
        "headers": [(str(name), value) for name, value in response.headers.items() if name not in _OF_THE_MESSAGE],
        "body": b64encode(body).decode(),
    }
    tx.remember(orjson.dumps(stored))


def _stored(key: Key, remembered: bytes | None) -> web.Response:
    if remembered is None:
        raise Problem(409, "conflict", "A request with this Idempotency-Key was done, but its answer was not kept.")
    stored = orjson.loads(remembered)
    if stored["fingerprint"] != key.fingerprint:
        raise Problem(422, "idempotency-key-reused", "This Idempotency-Key was used for another request.")
    return web.Response(
        body=b64decode(stored["body"]),
        status=stored["status"],
        headers=[*stored["headers"], ("Idempotency-Replayed", "true")],
    )
