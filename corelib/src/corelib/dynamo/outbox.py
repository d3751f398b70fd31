"""A relay's view on the outbox.

Entries committed in this process are handed over in memory and cost no read. A sweep of the sparse index finds the
rest: those of other replicas, and those that a crash left behind. The index is eventually consistent, so it may show
an entry before its predecessor: an entry goes out only after the one before it was sent, and a gap is closed by
consistent reads.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from corelib.clock import Clock
from corelib.dynamo.client import Client
from corelib.dynamo.items import Attribute
from corelib.dynamo.layout import (
    Entry,
    Stream,
    acknowledged_item,
    due_query,
    entry_key,
    entry_of,
    is_pending,
    microseconds,
    out_shards,
)
from corelib.dynamo.lease import Lease
from corelib.dynamo.waiting import Waiting, last_of_streams
from corelib.store import Pending

KEEP = timedelta(days=7)
_SHORTEST_SWEEP, _LONGEST_SWEEP = 0.05, 0.5
_PAGE = 250
_GAPS_AT_ONCE = 32
# An entry younger than this may be our own, with its hand-over still on the way.
_FRESH_MICROSECONDS = 50_000
# The index may show an acknowledged entry for a while; after this it was left behind by a half-done acknowledgement.
_STALE_MICROSECONDS = 10_000_000


class Outbox:
    """Reads and acknowledges the entries of some channels. One relay at a time: see `Lease`."""

    def __init__(self, client: Client, table: str, lease: Lease, channels: frozenset[str], clock: Clock) -> None:
        self._client = client
        self._table = table
        self._lease = lease
        self._channels = channels
        self._clock = clock
        self._waiting = Waiting()
        self._cursors: dict[str, Attribute | None] = {
            shard: None for channel in sorted(channels) for shard in out_shards(channel)
        }
        self._sweep_at = 0.0
        self._pause = _SHORTEST_SWEEP

    async def acquire(self, holder: str) -> bool:
        """Take or renew the lease; False while another relay holds it."""
        term = self._lease.term
        held = await self._lease.acquire(holder)
        if self._lease.term != term:
            self._forget()  # another relay may have sent what we knew
        return held

    def offer(self, entries: Sequence[Entry]) -> None:
        """Take over entries that this process has just committed."""
        if not self._lease.held:
            return
        for entry in entries:
            if entry.record.channel not in self._channels:
                continue
            if self._waiting.full:
                self._sweep_at = 0.0
                return
            self._waiting.add(entry)

    async def read(self, limit: int) -> Sequence[Pending]:
        """Return the next committed records after the last acknowledged one; empty when idle."""
        if time.monotonic() >= self._sweep_at and not self._waiting.full:
            await self._sweep()
        entries = self._waiting.ready(limit)
        if len(entries) < min(limit, len(self._waiting)):
            await self._close_gaps()
            entries = self._waiting.ready(limit)
        return [Pending(entry, entry.record) for entry in entries]

    async def acknowledge(self, records: Sequence[Pending]) -> None:
        """Record that these reached their channel. Raises `LeaseLost` if another relay has taken over."""
        await self._lease.confirm()
        await self._mark_sent([_entry(pending) for pending in records])

    async def lag_seconds(self) -> float:
        """Return the age of the oldest record not yet acknowledged, 0.0 when there is none."""
        pages = await self._query_all(dict.fromkeys(self._cursors), limit=5)
        found = (entry_of(item) for page in pages.values() for item in page["Items"])
        oldest = min((entry.committed for entry in found if not self._waiting.was_sent(entry)), default=None)
        return 0.0 if oldest is None else max(0.0, (microseconds(self._clock.now()) - oldest) / 1_000_000)

    async def release(self) -> None:
        """Give the lease up, so that a standby takes over at once."""
        self._forget()
        await self._lease.release()

    def _forget(self) -> None:
        self._waiting.forget()
        self._cursors = dict.fromkeys(self._cursors)
        self._sweep_at = 0.0

    async def _sweep(self) -> None:
        """Take in a page of each shard, going on where the last sweep stopped, or else from the oldest again."""
        now = microseconds(self._clock.now())
        foreign, left_behind = 0, []
        for shard, page in (await self._query_all(self._cursors, limit=_PAGE)).items():
            self._cursors[shard] = page.get("LastEvaluatedKey")
            for entry in map(entry_of, page["Items"]):
                age = now - entry.committed
                if self._waiting.add(entry):
                    foreign += age > _FRESH_MICROSECONDS
                elif age > _STALE_MICROSECONDS and self._waiting.was_sent(entry):
                    left_behind.append(entry)
        if left_behind:
            await self._mark_sent(left_behind)
        more = any(self._cursors.values())
        # Other replicas' entries arrive: look more often. Nothing found: idle costs little.
        self._pause = _SHORTEST_SWEEP if foreign else min(self._pause * 2, _LONGEST_SWEEP)
        self._sweep_at = 0.0 if more else time.monotonic() + self._pause

    async def _query_all(self, shards: dict[str, Attribute | None], *, limit: int) -> dict[str, dict[str, Any]]:
        queries = []
        for shard, start in shards.items():
            more: dict[str, Any] = {"ExclusiveStartKey": start} if start else {}
            queries.append(self._client.call("Query", **due_query(self._table, shard, Limit=limit), **more))
        return dict(zip(shards, await asyncio.gather(*queries), strict=True))

    async def _close_gaps(self) -> None:
        gaps = self._waiting.gaps(_GAPS_AT_ONCE)
        await asyncio.gather(*(self._close_gap(stream, known) for stream, known in gaps))

    async def _close_gap(self, stream: Stream, known: int) -> None:
        """Read back from the first known entry to the last one that was sent, or to the beginning."""
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
            "Limit": 10,
        }
        async for page in self._client.pages("Query", **query):
            for item in page["Items"]:
                if not is_pending(item):
                    self._waiting.sent(stream, int(item["sk"]["S"]))
                    return
                entry = entry_of(item)
                self._waiting.add(entry)
                known = entry.sequence
        # A missing entry has expired, and only what was sent expires.
        self._waiting.sent(stream, known - 1)

    async def _mark_sent(self, entries: Sequence[Entry]) -> None:
        expires = self._clock.now() + KEEP
        puts = [{"PutRequest": {"Item": acknowledged_item(entry, expires)}} for entry in entries]
        await self._client.write_all(self._table, puts)
        for stream, sequence in last_of_streams(entries).items():
            self._waiting.sent(stream, sequence)


def _entry(pending: Pending) -> Entry:
    if not isinstance(pending.position, Entry):
        raise TypeError(f"not read from this outbox: {pending.position!r}")
    return pending.position
