"""One event through one handler: the mark makes it once, an effect runs outside of any transaction."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from corelib.actor import Effect, Route
from corelib.cancellation import own_cancellation_only
from corelib.errors import Duplicate
from corelib.exception_groups import ungrouped
from corelib.message import Envelope, Event, Record, parse
from corelib.once import run_once
from corelib.store import Store
from corelib.tracing import EventOpener, about
from corelib.transaction import Mark, Transaction

Outcome = Literal["done", "duplicate"]
# Handlers that take their time gain nothing from a common transaction, and lose more when it rolls back.
_TOGETHER_SECONDS = 0.1


class Arrival(NamedTuple):
    """A record, its attributes, and those who handle its event: `@receive` all of them."""

    record: Record
    envelope: Envelope
    routes: Sequence[Route]


async def handle(store: Store, route: Route, envelope: Envelope, event: Event, *, attempt: int = 1) -> Outcome:
    """Run a handler within its deadline; commit what it wrote and published with the mark. Repeating changes nothing.

    Raises whatever the handler raises, `Abandoned` where something that it waits for is cancelled; `Conflict` or
    `Unavailable` from the store; `Forgotten` for an event so old that nobody can tell whether it was handled.
    """
    mark = Mark(route.name, str(envelope.id), envelope.time)
    try:
        with own_cancellation_only:
            if route.is_effect:
                call = Effect(str(envelope.id), route.deadline, attempt, envelope)
                return await _effect(store, route, event, call, mark)
            return await _receive(store, route, event, envelope, mark)
    except Duplicate:
        return "duplicate"


async def handle_together(store: Store, arrivals: Iterable[Arrival], *, deadline: float, span: EventOpener) -> int:
    """Handle events of one key in their order in one transaction; return how many: those that began within 100 ms.

    Raises what any of them raises, and then none of them was handled; whoever called handles each by itself.
    """
    now = asyncio.get_running_loop().time
    began, handled = now(), 0
    with own_cancellation_only:
        async with asyncio.timeout(deadline), store.transaction() as tx:
            for record, envelope, routes in arrivals:
                for route in routes:
                    tx.turn_to(Mark(route.name, str(envelope.id), envelope.time), envelope.traceparent)
                    with about(envelope), span(route.name, envelope), ungrouped:
                        await route.call(parse(record, route.event), tx)
                handled += 1
                if now() - began > _TOGETHER_SECONDS:
                    break
    return handled


async def _receive(store: Store, route: Route, event: Event, envelope: Envelope, mark: Mark) -> Outcome:
    async def receive(tx: Transaction) -> None:
        with ungrouped:
            await route.call(event, tx)

    # Its own time, lost races included: a handler that hangs must not keep its key, nor a connection, for good.
    async with asyncio.timeout(route.deadline.total_seconds()):
        await run_once(store, receive, mark=mark, traceparent=envelope.traceparent)
    return "done"


async def _effect(store: Store, route: Route, event: Event, call: Effect, mark: Mark) -> Outcome:
    done, _ = await store.recall(mark)
    if done:
        return "duplicate"
    async with asyncio.timeout(route.deadline.total_seconds()):
        with ungrouped:
            outcome = await route.call(event, call)

    async def publish(tx: Transaction) -> None:
        if outcome is not None:
            tx.publish(outcome)

    await run_once(store, publish, mark=mark, traceparent=call.envelope.traceparent)
    return "done"
