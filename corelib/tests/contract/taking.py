"""Subscriptions, opened for a block, and what they deliver."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from corelib.broker import Delivery, Subscription

S = TypeVar("S", bound=Subscription)


@asynccontextmanager
async def opened(subscription: S) -> AsyncIterator[S]:
    await subscription.open()
    try:
        yield subscription
    finally:
        await subscription.close()


async def take(subscription: Subscription, count: int) -> list[Delivery]:
    taken: list[Delivery] = []
    async with asyncio.timeout(20):
        async for delivery in subscription.deliveries():
            taken.append(delivery)
            if len(taken) == count:
                break
    return taken
