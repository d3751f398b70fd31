"""Replays baskets as orders in time order and follows each one to its end, through the public API only."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from devstack.baskets import Basket
from devstack.shopper import FINAL, Refused, Shopper

_POLL_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.0)


@dataclass
class Progress:
    """What happened so far; the live view reads it."""

    total: int
    placed: int = 0
    refused: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    place_seconds: list[float] = field(default_factory=list)
    saga_seconds: list[float] = field(default_factory=list)
    order_ids: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)
    placing_ended: float | None = None

    @property
    def orders_per_second(self) -> float:
        """Return orders placed per second of the replay so far."""
        elapsed = (self.placing_ended or time.monotonic()) - self.started
        return self.placed / elapsed if elapsed else 0.0


def percentile(values: Iterable[float], share: float) -> float:
    """Return the nearest-rank percentile of seconds, in milliseconds; 0.0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1_000 if ordered else 0.0


async def in_parallel(work: Iterable[Callable[[], Awaitable[object]]], workers: int) -> None:
    """Run all, at most `workers` at a time; the first exception stops the rest."""
    todo = iter(work)

    async def worker() -> None:
        for job in todo:
            await job()

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(worker())


@dataclass
class Replayer:
    """Places baskets at a rate (orders per second, 0 = as fast as the shop takes them) and follows the orders."""

    shopper: Shopper
    progress: Progress
    concurrency: int = 16
    rate: float = 0.0
    _open: dict[str, tuple[str, float]] = field(default_factory=dict)

    async def run(self, baskets: list[Basket], *, deadline_seconds: float) -> None:
        """Place all baskets, then wait until every order is final; raise `TimeoutError` at the deadline."""
        async with asyncio.timeout(deadline_seconds), asyncio.TaskGroup() as group:
            followed = group.create_task(self._follow())
            async for batch in self._paced(baskets):
                await in_parallel([partial(self._place, basket) for basket in batch], self.concurrency)
            self.progress.placing_ended = time.monotonic()
            await followed

    async def _paced(self, baskets: list[Basket]) -> AsyncIterator[list[Basket]]:
        if not self.rate:
            yield baskets
            return
        for number, basket in enumerate(baskets):
            due = self.progress.started + number / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            yield [basket]

    async def _place(self, basket: Basket) -> None:
        begun = time.monotonic()
        try:
            order = await self.shopper.place(basket)
        except Refused as refused:
            self.progress.refused.append(f"basket {basket.basket_id}: {refused}")
            return
        self.progress.place_seconds.append(time.monotonic() - begun)
        self.progress.placed += 1
        self.progress.order_ids.add(str(order["order_id"]))
        self.progress.states["pending"] += 1
        self._open[str(order["order_id"])] = (basket.household, begun)

    async def _follow(self) -> None:
        last = dict[str, str]()
        idle = 0
        while self.progress.placing_ended is None or self._open:
            ended = 0

            async def look(order_id: str, household: str, begun: float) -> None:
                nonlocal ended
                status = str((await self.shopper.order(household, order_id))["status"])
                self.progress.states[last.get(order_id, "pending")] -= 1
                self.progress.states[status] += 1
                last[order_id] = status
                if status in FINAL:
                    ended += 1
                    self.progress.saga_seconds.append(time.monotonic() - begun)
                    del self._open[order_id]

            oldest = list(self._open.items())[: self.concurrency * 2]
            await in_parallel([partial(look, order, who, begun) for order, (who, begun) in oldest], 4)
            idle = 0 if ended else min(idle + 1, len(_POLL_SECONDS) - 1)
            await asyncio.sleep(_POLL_SECONDS[idle])
