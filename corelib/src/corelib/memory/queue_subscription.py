"""Takes from queues in memory, as `corelib.sqs.subscription` does from SQS."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial
from typing import cast

from corelib import logs
from corelib.broker import Assigned, Delivery
from corelib.errors import Unavailable
from corelib.memory.link import Link
from corelib.memory.queue_server import Message, QueueServer
from corelib.part import rest

_BATCH = 10
_POLL_SECONDS = 0.2
_NOW = timedelta()

log = logs.get_logger(__name__)


class MemoryQueueSubscription:
    """Implements `Subscription`. A message is in hand from its receipt until it is `done`."""

    sticky = False

    def __init__(self, server: QueueServer, link: Link, channels: Sequence[str]) -> None:
        self._server = server
        self._link = link
        self._channels = channels
        self._in_hand: set[tuple[Message, int]] = set()
        self._finished: list[tuple[Message, int]] = []
        self._closing = asyncio.Event()
        self._extending: asyncio.Task[None] | None = None

    async def open(self, _: Assigned | None = None) -> None:
        """Begin to hold what is in hand. Raises `Unavailable`."""
        await self._link.call("open queues", lambda: None)
        self._extending = asyncio.create_task(self._extend())

    async def close(self) -> None:
        """Delete what is finished, and give back at once what is not."""
        self.stop_taking()
        if self._extending is not None:
            self._extending.cancel()
            await asyncio.gather(self._extending, return_exceptions=True)
        with contextlib.suppress(Unavailable):  # then it comes again when its time is over
            await self._delete_finished()
            await self._show_in(_NOW)

    def stop_taking(self) -> None:
        """End `deliveries`; what was yielded can still be said `done`."""
        self._closing.set()

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """Yield records, of a FIFO queue per key in order; stops when closed."""
        while not self._closing.is_set():
            arrived = self._server.arrived
            received = await self._receive()
            for held in received:
                if self._closing.is_set():
                    return
                yield Delivery(held[0].record, held)
            if not received:
                await rest(arrived, _POLL_SECONDS)

    def begin(self, delivery: Delivery) -> bool:
        """Say that work on a delivery begins, or goes on; False once it is in somebody else's hand."""
        return delivery.position in self._in_hand

    async def done(self, delivery: Delivery) -> None:
        """Say that a delivery is handled or parked: it is deleted, at the next poll where that fails now."""
        held = cast("tuple[Message, int]", delivery.position)
        self._in_hand.discard(held)
        self._finished.append(held)
        await self._try_to_delete()

    async def lag(self) -> dict[str, int]:
        """Return how many records wait, by channel; what cannot be asked now counts as none."""
        try:
            return await self._link.call("lag", lambda: {name: self._server.waiting(name) for name in self._channels})
        except Unavailable:
            return dict.fromkeys(self._channels, 0)

    async def _receive(self) -> list[tuple[Message, int]]:
        await self._try_to_delete()
        try:
            received = await self._link.call("receive", lambda: self._server.receive(self._channels, _BATCH))
        except Unavailable as error:
            log.warning("nothing received", reason=str(error))
            return []
        # In hand from now on, yielded or not: its time runs.
        self._in_hand.update(received)
        return received

    async def _try_to_delete(self) -> None:
        try:
            await self._delete_finished()
        except Unavailable as error:
            log.warning("finished messages not yet deleted", count=len(self._finished), reason=str(error))

    async def _delete_finished(self) -> None:
        for held in tuple(self._finished):
            await self._link.call("delete", partial(self._server.delete, *held))
            with contextlib.suppress(ValueError):  # another task has deleted it meanwhile
                self._finished.remove(held)

    async def _extend(self) -> None:
        """Keep what is in hand out of others' sight for as long as this process lives."""
        while True:
            await asyncio.sleep(self._server.visible.total_seconds() / 3)
            try:
                await self._show_in(self._server.visible)
            except Unavailable as error:
                log.warning("messages in hand may be delivered to others too", reason=str(error))

    async def _show_in(self, after: timedelta) -> None:
        for held in tuple(self._in_hand):
            if not await self._link.call("show in", partial(self._server.show_in, *held, after)):
                self._in_hand.discard(held)
