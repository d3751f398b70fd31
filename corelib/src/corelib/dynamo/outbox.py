"""A relay's view on the outbox, or on the part of it that is its share.

Entries committed in this process are handed over in memory and cost no read; those of other replicas come by the
table's stream (`corelib.dynamo.streams`). A sweep of the sparse index finds the rest: what a crash or an outage left
behind. None of them keeps order, so an entry goes out only after the one before it was sent, and a gap is closed by
consistent reads.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from corelib.clock import Clock
from corelib.dynamo.client import Client
from corelib.dynamo.items import Attribute
from corelib.dynamo.layout import (
    SHARDS,
    Entry,
    Stream,
    acknowledged_item,
    due_query,
    entry_key,
    entry_of,
    is_pending,
    microseconds,
    out_partition,
)
from corelib.dynamo.pace import Pace
from corelib.dynamo.shares import Shares
from corelib.dynamo.waiting import Waiting, last_of_streams
from corelib.metrics import RELAY_SHARDS
from corelib.store import Pending

KEEP = timedelta(days=7)
_SHORTEST_SWEEP = 0.05
_PAGE = 250
_GAPS_AT_ONCE = 32
# The index may show an acknowledged entry for a while; after this it was left behind by a half-done acknowledgement.
_STALE_MICROSECONDS = 10_000_000

Place = tuple[str, int]  # (channel, shard)


class Outbox:
    """Reads and acknowledges the entries of some channels, in the shards that are this relay's share."""

    def __init__(
        self,
        client: Client,
        table: str,
        shares: Shares,
        channels: frozenset[str],
        clock: Clock,
        *,
        writer: str,
        pace: Pace,
    ) -> None:
        self._client = client
        self._table = table
        self._shares = shares
        self._channels = channels
        self._clock = clock
        self._writer = writer
        self._waiting = Waiting()
        self._in_hand: dict[tuple[Stream, int], int] = {}
        self._writing: asyncio.Task[None] | None = None
        self._cursors: dict[Place, Attribute | None] = {}
        self._sweep_at = 0.0
        self._pause = _SHORTEST_SWEEP
        self._pace = pace

    @property
    def held(self) -> frozenset[int]:
        """The shards that are this relay's share."""
        return self._shares.held

    async def acquire(self, holder: str) -> bool:
        """Take or renew a share; False while others hold everything."""
        await self._written()  # a shard may be given up now, and its next relay shall not send what we have sent
        before = self._shares.held
        fresh = await self._shares.acquire(holder, busy=frozenset(self._in_hand.values()))
        held = self._shares.held
        RELAY_SHARDS.labels(self._shares.relay).set(len(held))
        if fresh or before != held:
            self._begin(fresh | (before - held))
        return bool(held)

    def offer(self, entries: Sequence[Entry]) -> int:
        """Take over entries that are known to be committed; return how many of them were news."""
        news = 0
        for entry in entries:
            if entry.shard not in self._shares.held or entry.record.channel not in self._channels:
                continue
            if self._waiting.full:
                self.sweep_soon()
                break
            news += self._waiting.add(entry)
        return news

    def sweep_soon(self) -> None:
        """Look into the index at the next read."""
        self._sweep_at = 0.0
        self._pause = _SHORTEST_SWEEP

    async def read(self, limit: int) -> Sequence[Pending]:
        """Return the next committed records after the last acknowledged one; empty when idle."""
        room = not self._waiting.full
        if room and _now() >= self._sweep_at:
            await self._sweep()
        entries = self._waiting.ready(limit)
        # Without room, what can be sent goes first; room as there was before the sweep, which may take it each time.
        if len(entries) < min(limit, len(self._waiting)) and (room or not entries):
            await self._close_gaps()
            entries = self._waiting.ready(limit)
        self._in_hand = {(entry.stream, entry.sequence): entry.shard for entry in entries}
        return [Pending(entry, entry.record) for entry in entries]

    async def acknowledge(self, records: Sequence[Pending]) -> None:
        """Record that these reached their channel. Raises `LeaseLost` if another relay has taken over.

        While more waits, the writing goes on beside the next read and send; the next call raises what it failed of.
        """
        entries = [_entry(pending) for pending in records]
        await self._written()
        await self._shares.confirm({entry.shard for entry in entries})
        for entry in entries:
            self._in_hand.pop((entry.stream, entry.sequence), None)
        for stream, sequence in last_of_streams(entries).items():
            self._waiting.sent(stream, sequence)
        self._writing = asyncio.create_task(self._mark_sent(entries))
        if not self._waiting and not any(self._cursors.values()):
            await self._written()

    async def lag_seconds(self) -> float:
        """Return the age of the oldest record not yet acknowledged, 0.0 when there is none."""
        oldest = self._waiting.oldest()
        if oldest is None:
            everywhere = dict.fromkeys((channel, shard) for channel in self._channels for shard in range(SHARDS))
            pages = await self._query_all(everywhere, limit=5)
            found = (entry_of(item) for page in pages.values() for item in page["Items"])
            oldest = min((entry.committed for entry in found if not self._waiting.was_sent(entry)), default=None)
        return 0.0 if oldest is None else max(0.0, (microseconds(self._clock.now()) - oldest) / 1_000_000)

    async def release(self) -> None:
        """Give the share up, so that others take over at once."""
        self._in_hand.clear()
        held = self._shares.held
        try:
            await self._written()
        finally:
            await self._leave(held)

    async def _leave(self, held: frozenset[int]) -> None:
        try:
            await self._shares.release()
        finally:
            self._begin(held)
            RELAY_SHARDS.labels(self._shares.relay).set(0)

    def _begin(self, shards: frozenset[int]) -> None:
        """Know nothing of these shards, and look for what waits in those that are held."""
        self._waiting.forget(shards)
        known = {place: start for place, start in self._cursors.items() if place[1] not in shards}
        places = ((channel, shard) for channel in sorted(self._channels) for shard in sorted(self._shares.held))
        self._cursors = {place: known.get(place) for place in places}
        self.sweep_soon()

    async def _sweep(self) -> None:
        """Take in a page of each shard, going on where the last sweep stopped, or else from the oldest again."""
        now = microseconds(self._clock.now())
        foreign, left_behind = 0, []
        for place, page in (await self._query_all(self._cursors, limit=_PAGE)).items():
            self._cursors[place] = page.get("LastEvaluatedKey")
            for entry in map(entry_of, page["Items"]):
                if self._waiting.add(entry):
                    foreign += entry.writer != self._writer
                elif now - entry.committed > _STALE_MICROSECONDS and self._waiting.was_sent(entry):
                    left_behind.append(entry)
        if left_behind:
            await self._written()
            await self._mark_sent(left_behind)
        more = any(self._cursors.values())
        # Other replicas' entries arrive and no stream tells: look more often. Nothing found: idle costs little.
        streamed, longest = self._pace.streamed, self._pace.seconds
        self._pause = _SHORTEST_SWEEP if foreign and not streamed else min(self._pause * 2, longest)
        self._sweep_at = 0.0 if more else _now() + self._pause

    async def _query_all(self, places: dict[Place, Attribute | None], *, limit: int) -> dict[Place, dict[str, Any]]:
        queries = []
        for place, start in places.items():
            more: dict[str, Any] = {"ExclusiveStartKey": start} if start else {}
            query = due_query(self._table, out_partition(*place), Limit=limit, **more)
            queries.append(self._client.call("Query", **query))
        return dict(zip(places, await asyncio.gather(*queries), strict=True))

    async def _close_gaps(self) -> None:
        gaps = self._waiting.gaps(_GAPS_AT_ONCE)
        await asyncio.gather(*(self._close_gap(stream, known) for stream, known in gaps))

    async def _close_gap(self, stream: Stream, known: int) -> None:
        """Read back from the first known entry to the last one that was sent, or to the beginning.

        A page of it: what is further away is a backlog, which a sweep takes in from its beginning.
        """
        first = entry_key(stream, 0)
        query = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :low AND :high",
            "ExpressionAttributeValues": {
                ":pk": first["pk"],
                ":low": first["sk"],
                ":high": entry_key(stream, known - 1)["sk"],
            },
            "ScanIndexForward": False,
            "ConsistentRead": True,
            "Limit": _PAGE,
        }
        page = await self._client.call("Query", **query)
        for item in page["Items"]:
            if not is_pending(item):
                self._waiting.sent(stream, int(item["sk"]["S"]))
                return
            entry = entry_of(item)
            self._waiting.add(entry)
            known = entry.sequence
        if page.get("LastEvaluatedKey"):
            self._waiting.leave(stream)
            self.sweep_soon()
        else:
            # A missing entry has expired, and only what was sent expires.
            self._waiting.sent(stream, known - 1)

    async def _mark_sent(self, entries: Sequence[Entry]) -> None:
        expires = self._clock.now() + KEEP
        puts = [{"PutRequest": {"Item": acknowledged_item(entry, expires)}} for entry in entries]
        await self._client.write_all(self._table, puts)

    async def _written(self) -> None:
        """Wait for the acknowledgement that is being written; raise what it failed of."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing


def _entry(pending: Pending) -> Entry:
    if not isinstance(pending.position, Entry):
        raise TypeError(f"not read from this outbox: {pending.position!r}")
    return pending.position


def _now() -> float:
    return asyncio.get_running_loop().time()


async def oldest_waiting(client: Client, table: str, channels: frozenset[str]) -> int | None:
    """Return when the oldest entry that waits for its relay was committed, in microseconds; None where none waits."""
    places = [out_partition(channel, shard) for channel in sorted(channels) for shard in range(SHARDS)]
    pages = await asyncio.gather(*(client.call("Query", **due_query(table, place, Limit=1)) for place in places))
    return min((entry_of(item).committed for page in pages for item in page["Items"]), default=None)
