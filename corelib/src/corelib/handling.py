"""One event through one handler: the mark makes it once, an effect runs outside of any transaction."""

import asyncio
from typing import Literal

from corelib.actor import Effect, Route
from corelib.errors import Duplicate
from corelib.message import Envelope, Event
from corelib.once import run_once
from corelib.store import Store
from corelib.transaction import Mark, Transaction

Outcome = Literal["done", "duplicate"]


async def handle(store: Store, route: Route, envelope: Envelope, event: Event, *, attempt: int = 1) -> Outcome:
    """Run a handler within its deadline; commit what it wrote and published with the mark. Repeating changes nothing.

    Raises whatever the handler raises; `Conflict` or `Unavailable` from the store; `Forgotten` for an event so old that
    nobody can tell whether it was handled.
    """
    mark = Mark(route.name, str(envelope.id), envelope.time)
    try:
        if route.is_effect:
            call = Effect(str(envelope.id), route.deadline, attempt, envelope)
            return await _effect(store, route, event, call, mark)

        async def receive(tx: Transaction) -> None:
            await route.call(event, tx)

        # Its own time, lost races included: a handler that hangs must not keep its key, nor a connection, for good.
        async with asyncio.timeout(route.deadline.total_seconds()):
            await run_once(store, receive, mark=mark, traceparent=envelope.traceparent)
    except Duplicate:
        return "duplicate"
    return "done"


async def _effect(store: Store, route: Route, event: Event, call: Effect, mark: Mark) -> Outcome:
    done, _ = await store.recall(mark)
    if done:
        return "duplicate"
    async with asyncio.timeout(route.deadline.total_seconds()):
        outcome = await route.call(event, call)

    async def publish(tx: Transaction) -> None:
        if outcome is not None:
            tx.publish(outcome)

    await run_once(store, publish, mark=mark, traceparent=call.envelope.traceparent)
    return "done"
