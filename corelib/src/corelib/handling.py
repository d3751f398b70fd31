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


async def handle(store: Store, route: Route, envelope: Envelope, event: Event) -> Outcome:
    """Run a handler, and commit what it wrote and published with the mark; a repetition changes nothing.

    Raises whatever the handler raises, and `Conflict` or `Unavailable` from the store.
    """
    mark = Mark(route.name, str(envelope.id))
    try:
        if route.is_effect:
            return await _effect(store, route, envelope, event, mark)

        async def receive(tx: Transaction) -> None:
            await route.call(event, tx)

        await run_once(store, receive, mark=mark, traceparent=envelope.traceparent)
    except Duplicate:
        return "duplicate"
    return "done"


async def _effect(store: Store, route: Route, envelope: Envelope, event: Event, mark: Mark) -> Outcome:
    done, _ = await store.recall(mark)
    if done:
        return "duplicate"
    async with asyncio.timeout(route.deadline.total_seconds()):
        outcome = await route.call(event, Effect(str(envelope.id), route.deadline, 1, envelope))

    async def publish(tx: Transaction) -> None:
        if outcome is not None:
            tx.publish(outcome)

    await run_once(store, publish, mark=mark, traceparent=envelope.traceparent)
    return "done"
