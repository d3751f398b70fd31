"""A consumer group's share of some channels of the broker in memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import cast

import structlog

from corelib.broker import Assigned, Delivery
from corelib.consumer.offsets import Offsets
from corelib.errors import Unavailable
from corelib.memory.cluster import Cluster, Place
from corelib.memory.group import NotAMember
from corelib.memory.link import Link
from corelib.message import Channel
from corelib.part import rest

_HEARTBEAT_SECONDS = 1.0
_COMMIT_SECONDS = 1.0
_REVOKE_SECONDS = 10.0
_POLL_SECONDS = 0.2
_SYNC_SECONDS = 0.05
_PAGE = 500

log = structlog.get_logger(__name__)


class MemorySubscription:
    """Implements `Subscription`, with the rebalances of a Kafka consumer."""

    sticky = True

    def __init__(self, cluster: Cluster, link: Link, group: str, channels: Sequence[Channel], member: str) -> None:
        self._cluster = cluster
        self._link = link
        self._group = cluster.group(group)
        self._channels = channels
        self._member = member
        self._generation = 0
        self._books: dict[Place, Offsets] = {}
        self._closing = asyncio.Event()
        self._on_assigned: Assigned | None = None
        self._coordinating: asyncio.Task[None] | None = None
        self._commit_due = 0.0

    async def open(self, on_assigned: Assigned | None = None) -> None:
        """Join the group. Raises `Unavailable`."""
        self._on_assigned = on_assigned
        await self._join()
        self._coordinating = asyncio.create_task(self._coordinate())

    async def close(self) -> None:
        """Commit what is finished and leave the group."""
        self._closing.set()
        if self._coordinating is not None:
            self._coordinating.cancel()
            await asyncio.gather(self._coordinating, return_exceptions=True)
        await self._commit()
        with contextlib.suppress(Unavailable):  # then its session ends by itself
            await self._link.call("leave group", lambda: self._group.leave(self._member))

    def stop_taking(self) -> None:
        """End `deliveries`; what was yielded can still be finished."""
        self._closing.set()

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """Yield records, per partition in order; stops when closed."""
        while not self._closing.is_set():
            arrived = self._cluster.arrived
            fetched = await self._fetch()
            for delivery in fetched:
                if self._closing.is_set():
                    return
                book, _ = cast("tuple[Offsets, int]", delivery.position)
                if not book.revoked:
                    yield delivery
            await self._commit_when_due()
            if not fetched:
                await rest(arrived, _POLL_SECONDS)

    def begin(self, delivery: Delivery) -> bool:
        """Say that work on a delivery begins, or goes on; False once its partition was given to somebody else."""
        book, offset = cast("tuple[Offsets, int]", delivery.position)
        return book.begin(offset)

    async def done(self, delivery: Delivery) -> None:
        """Say that a delivery is handled or parked."""
        book, offset = cast("tuple[Offsets, int]", delivery.position)
        book.done(offset)
        await self._commit_when_due()

    async def lag(self) -> dict[str, int]:
        """Return how many records wait, by channel; what cannot be asked now counts as none."""
        waiting = {channel.name: 0 for channel in self._channels}
        with contextlib.suppress(Unavailable):
            ends = await self._link.call("ends", lambda: self._cluster.ends(list(self._books)))
            for place, end in ends.items():
                if place in self._books:
                    waiting[place[0]] += max(0, end - self._books[place].committable())
        return waiting

    async def _fetch(self) -> list[Delivery]:
        books = dict(self._books)
        positions = {place: book.next for place, book in books.items()}
        try:
            records, following = await self._link.call("fetch", lambda: self._cluster.fetch(positions, _PAGE))
        except Unavailable as error:
            log.warning("nothing fetched", reason=str(error))
            return []
        for place, offset, _ in records:
            books[place].take([offset])
        for place, offset in following.items():
            books[place].next = offset
        return [Delivery(record, (books[place], offset)) for place, offset, record in records]

    async def _coordinate(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            try:
                if await self._link.call("heartbeat", lambda: self._group.heartbeat(self._member, self._generation)):
                    continue
                await self._revoke()
                await self._sync()
            except NotAMember:
                self._give_back()
                await self._rejoin()
            except Unavailable as error:
                log.warning("no heartbeat", reason=str(error))

    async def _rejoin(self) -> None:
        with contextlib.suppress(Unavailable, NotAMember):  # tried again at the next heartbeat
            await self._join()

    async def _join(self) -> None:
        await self._link.call(
            "join group", lambda: self._group.join(self._member, self._cluster.places(self._channels))
        )
        await self._sync()

    async def _revoke(self) -> None:
        """Begin nothing more, let what is at work finish, then commit: the next owner starts behind it."""
        for book in self._books.values():
            book.revoke()
        try:
            async with asyncio.timeout(_REVOKE_SECONDS):
                for book in self._books.values():
                    await book.settled.wait()
        except TimeoutError:
            log.warning("work still in hand at a rebalance; its records come again", partitions=len(self._books))
        await self._commit()
        self._give_back()

    def _give_back(self) -> None:
        for book in self._books.values():
            book.revoke()
        self._books = {}

    async def _sync(self) -> None:
        while (shared := await self._link.call("sync", self._ready)) is None:  # noqa: ASYNC110 -- asks, as a client has to
            await asyncio.sleep(_SYNC_SECONDS)
        generation, offsets = shared
        if self._on_assigned is not None:
            await self._on_assigned()
        self._generation = generation
        self._books = {place: Offsets(next=offset, committed=offset) for place, offset in offsets.items()}

    def _ready(self) -> tuple[int, dict[Place, int]] | None:
        return self._group.sync(self._member)

    async def _commit_when_due(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._commit_due:
            self._commit_due = now + _COMMIT_SECONDS
            await self._commit()

    async def _commit(self) -> None:
        books = {place: book for place, book in self._books.items() if book.behind}
        offsets = {place: book.committable() for place, book in books.items()}
        generation = self._generation
        if not offsets:
            return
        try:
            await self._link.call("commit offsets", lambda: self._group.commit(self._member, generation, offsets))
        except (NotAMember, Unavailable) as error:
            # Not lost: the records come again, and their marks make them harmless.
            log.warning("offsets not committed", reason=repr(error))
            return
        for place, offset in offsets.items():
            books[place].committed = offset
