"""What is parked is taken up again: its records are handled in order, and with the last one the key flows again.

Anybody may do so at any time, beside running consumers and beside each other: the mark makes each record's effect once,
nobody goes on to a record before the one ahead of it is done, and a store takes the last record away only if no
consumer has let another one wait behind it (see `ParkingLot`).
"""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import orjson

from corelib.actor import Route
from corelib.errors import UsageError
from corelib.handling import handle
from corelib.message import Envelope, Record, parse
from corelib.store import Failure, Parked, Store

MALFORMED = "(malformed)"
"""The handler that records are parked for which are no event, so that nobody can tell whose they are."""
RELAY = "relay-"
"""How the names begin that a relay parks under what its broker will never take."""
AT_ONCE = 50
"""So many of a queue's records are read at once: a key may have a million behind its poison."""
_LONGEST_ID = 200
_LONGEST_REASON = 500
_LONGEST_TRACEBACK = 8_000
_FRAMES = 8


@dataclass(frozen=True)
class Resumed:
    """How many records of a key were handled, and what the first failed of that was not."""

    handled: int
    failure: Failure | None = None


def parked_as(handler: str, record: Record) -> str:
    """Return by what a record is known among those that are parked for a handler, so that it is parked once.

    That is its event's id; what is no event is known by all that it is.
    """
    event_id = record.header("ce_id")
    if event_id and len(event_id) <= _LONGEST_ID and handler != MALFORMED:
        return event_id
    digest = sha256(orjson.dumps((record.channel, record.key, record.headers)))
    digest.update(record.payload)
    return f"sha256/{digest.hexdigest()}"


def failure_of(error: BaseException) -> Failure:
    """Return an error as it is kept with the record."""
    reason = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
    trace = "".join(traceback.format_exception(error, limit=-_FRAMES))
    return Failure(reason, trace[-_LONGEST_TRACEBACK:])


async def resume(store: Store, routes: Sequence[Route], handler: str, key: str) -> Resumed:
    """Handle a parked key's records in order, also those that come meanwhile, until the queue is empty or one fails.

    Raises `UsageError` where the service has no such handler any more.
    """
    handled = 0
    while queue := await store.parking.list(handler, key, limit=AT_ONCE):
        for parked in queue:
            wanted = _routes_of(parked, routes)
            try:
                await _handle(store, wanted, parked.record)
            except Exception as error:  # noqa: BLE001 -- kept with the record, and told to whoever asked
                failure = failure_of(error)
                await store.parking.failed(parked, failure)
                return Resumed(handled, failure)
            await store.parking.remove(parked)
            handled += 1
    return Resumed(handled)


def _routes_of(parked: Parked, routes: Sequence[Route]) -> Sequence[Route]:
    if parked.handler == MALFORMED:
        return routes
    found = [route for route in routes if route.name == parked.handler]
    if not found:
        raise UsageError(f"there is no handler {parked.handler!r} any more: its records can only be skipped")
    return found


async def _handle(store: Store, routes: Sequence[Route], record: Record) -> None:
    envelope = Envelope.of(record)
    for route in routes:
        if route.event.type == envelope.type:
            await handle(store, route, envelope, parse(record, route.event))
