"""Durable timers: items in the due-time index that become outbox entries, each in one transaction."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import chain

from corelib.clock import Clock, SystemClock
from corelib.dynamo.client import Client
from corelib.dynamo.commit import Committer, Unit
from corelib.dynamo.items import Attribute
from corelib.dynamo.layout import (
    due_query,
    due_text,
    key_of,
    microseconds,
    record_item,
    record_of,
    timer_partition,
    timer_partitions,
)
from corelib.errors import Conflict
from corelib.message import Record
from corelib.transaction import Scheduled, Timer

_AT_ONCE = 16
# DynamoDB tells its time in whole seconds: the machine's own is better as long as it agrees.
_SKEW = timedelta(seconds=2)


class TimerItems:
    """Timers as operations of a transaction."""

    def __init__(self, table: str) -> None:
        self._table = table

    def put(self, scheduled: Scheduled) -> Attribute:
        """Return the operation that stores a timer."""
        name = str(scheduled.timer.id)
        item = {
            **_key(name),
            "shard": {"S": timer_partition(name)},
            "due": {"S": due_text(microseconds(scheduled.at))},
            "key": {"S": scheduled.envelope.key},
            "records": {"L": [{"M": record_item(record)} for record in scheduled.records]},
        }
        return {"Put": {"TableName": self._table, "Item": item}}

    def delete(self, timer: Timer) -> Attribute:
        """Return the operation that removes a timer, fired or not."""
        return {"Delete": {"TableName": self._table, "Key": _key(str(timer.id))}}


class DueTimers:
    """Fires what is due. Any number of replicas may: deleting the timer is the condition of its events."""

    def __init__(self, client: Client, table: str, committer: Committer) -> None:
        self._client = client
        self._table = table
        self._committer = committer

    async def fire(self, limit: int, clock: Clock) -> int:
        """Move due timers into the outbox, of one key in order of time; return how many."""
        now = microseconds(await self._now(clock))
        queries = [due_query(self._table, shard, until=now, Limit=limit) for shard in timer_partitions()]
        pages = await asyncio.gather(*(self._client.call("Query", **query) for query in queries))
        found = sorted(chain.from_iterable(page["Items"] for page in pages), key=_due)[:limit]
        by_key: dict[str, list[Attribute]] = defaultdict(list)
        for item in found:
            by_key[item["key"]["S"]].append(item)
        slots = asyncio.Semaphore(_AT_ONCE)
        counts = await asyncio.gather(*(self._fire(items, clock, slots) for items in by_key.values()))
        return sum(counts)

    async def _now(self, clock: Clock) -> datetime:
        """Return the time that timers go by: of a machine whose clock is wrong, DynamoDB's."""
        ours = clock.now()
        theirs = await self._client.server_time() if isinstance(clock, SystemClock) else None
        return theirs if theirs is not None and abs(theirs - ours) > _SKEW else ours

    async def _fire(self, items: Sequence[Attribute], clock: Clock, slots: asyncio.Semaphore) -> int:
        fired = 0
        async with slots:
            for item in items:
                try:
                    await self._committer.commit(Unit([self._claim(item)], _records(item)), clock)
                except Conflict:
                    break  # another replica may be at it, and what comes after it must not be sent before it
                fired += 1
        return fired

    def _claim(self, item: Attribute) -> Attribute:
        return {
            "Delete": {
                "TableName": self._table,
                "Key": {"pk": item["pk"], "sk": item["sk"]},
                "ConditionExpression": "attribute_exists(pk)",
            }
        }


def _key(name: str) -> Attribute:
    return key_of("timer", name, sort="timer")


def _due(item: Attribute) -> str:
    due: str = item["due"]["S"]
    return due


def _records(item: Attribute) -> list[Record]:
    return [record_of(typed["M"]) for typed in item["records"]["L"]]
