"""What is parked is taken up again: its records are handled in order, and with the last one the key flows again.

Anybody may do so at any time, beside running consumers and beside each other: the mark makes each record's effect once,
nobody goes on to a record before the one ahead of it is done, and a store takes the last record away only if no
consumer has let another one wait behind it (see `ParkingLot`).
"""

from collections.abc import Sequence

from corelib.actor import Route
from corelib.consumer.handling import handle
from corelib.errors import UsageError
from corelib.message import Envelope, Record, parse
from corelib.parking import AT_ONCE, MALFORMED, Resumed, failed_again, failure_of
from corelib.store import Failure, Parked, Store


async def resume(store: Store, routes: Sequence[Route], handler: str, key: str) -> Resumed:
    """Handle a parked key's records in order, also those that come meanwhile, until the queue is empty or one fails.

    Raises `UsageError` where the service has no such handler any more.
    """
    handled = 0
    while queue := await store.parking.list(handler, key, limit=AT_ONCE):
        count, failure = await _handle_first(store, [(each, _routes_of(each, routes)) for each in queue])
        # Together: what a crash leaves of them is known by its marks.
        if count:
            await store.parking.remove(*queue[:count])
        handled += count
        if failure is not None:
            await store.parking.failed(queue[count], failed_again(queue[count], failure))
            return Resumed(handled, failure)
    return Resumed(handled)


async def _handle_first(store: Store, queue: Sequence[tuple[Parked, Sequence[Route]]]) -> tuple[int, Failure | None]:
    """Handle records in order until one fails; return how many were handled, and what that failed of."""
    for count, (parked, routes) in enumerate(queue):
        try:
            await _handle(store, routes, parked.record)
        except Exception as error:  # noqa: BLE001 -- kept with the record, and told to whoever asked
            return count, failure_of(error)
    return len(queue), None


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
