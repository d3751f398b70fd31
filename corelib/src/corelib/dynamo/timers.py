"""Durable timers: items in the due-time index that become outbox entries, each in one transaction.

The index is looked at when something is due: what this process schedules, and what streams tell of other replicas, it
knows; a look in advance finds the rest, at the pace of the outbox's sweeps.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import chain

from corelib.clock import Clock, SystemClock
from corelib.dynamo.client import Client
from corelib.dynamo.commit import Committer, Unit
from corelib.dynamo.items import Attribute
from corelib.dynamo.layout import (
    due_of,
    due_query,
    due_text,
    key_of,
    microseconds,
    record_item,
    record_of,
    timer_partition,
    timer_partitions,
)
from corelib.dynamo.pace import Pace
from corelib.errors import Conflict
from corelib.message import Record
from corelib.timers import POLL_SECONDS
from corelib.transaction import Scheduled, Timer

_AT_ONCE = 16
# The index shows an item a moment after it was written: for so long what was heard of is looked for again.
_SETTLED_SECONDS = 2.0
# DynamoDB tells its time in whole seconds: the machine's own is better as long as it agrees.
_SKEW = timedelta(seconds=2)


class Agenda:
    """Knows when a look into the index can find something due."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._heard: deque[tuple[float, int]] = deque()
        self._next_due = 0
        self._look_at = 0.0

    def hear(self, dues: Iterable[int]) -> None:
        """Know of timers just scheduled, here or elsewhere, by when they are due in microseconds."""
        now = _loop_time()
        self._settle(now)
        for due in dues:
            self._heard.append((now, due))
            self._next_due = min(self._next_due, due)

    def calls_for_a_look(self, now: int) -> bool:
        """Return whether something may be due; `now` in microseconds. A clock that was set back delays nothing."""
        return now >= self._next_due or _loop_time() >= self._look_at

    def horizon(self, now: int) -> int:
        """Return how far ahead a look should see, in microseconds."""
        return now + int(self._seconds() * 1_000_000)

    def looked(self, horizon: int, ahead: Iterable[int]) -> None:
        """Know what a look found that is not due yet."""
        now = _loop_time()
        self._settle(now)
        self._look_at = now + self._seconds()
        self._next_due = min((horizon, *ahead, *(due for _, due in self._heard)))

    def look_soon(self) -> None:
        """Have the next question looked into."""
        self._look_at = 0.0

    def _seconds(self) -> float:
        # The part that asks sleeps between two questions: pace and sleep together are what a timer may be late.
        return max(self._pace.seconds - POLL_SECONDS, POLL_SECONDS)

    def _settle(self, now: float) -> None:
        while self._heard and now - self._heard[0][0] > _SETTLED_SECONDS:
            self._heard.popleft()


class TimerItems:
    """Timers as operations of a transaction."""

    def __init__(self, table: str, agenda: Agenda) -> None:
        self._table = table
        self._agenda = agenda

    def put(self, scheduled: Scheduled) -> Attribute:
        """Return the operation that stores a timer."""
        name = str(scheduled.timer.id)
        item = {
            **_key(name),
            "shard": {"S": timer_partition(name)},
            "due": {"S": due_text(microseconds(scheduled.at))},
            "key": {"S": scheduled.envelope.key},
            "records": {"L": [{"M": each} for each in _items(scheduled.records)]},
        }
        return {"Put": {"TableName": self._table, "Item": item}}

    def written(self, scheduled: Iterable[Scheduled]) -> None:
        """Know that these were stored, or may have been."""
        self._agenda.hear(microseconds(each.at) for each in scheduled)

    def delete(self, timer: Timer) -> Attribute:
        """Return the operation that removes a timer, fired or not."""
        return {"Delete": {"TableName": self._table, "Key": _key(str(timer.id))}}


class DueTimers:
    """Fires what is due. Any number of replicas may: deleting the timer is the condition of its events."""

    def __init__(self, client: Client, table: str, committer: Committer, agenda: Agenda) -> None:
        self._client = client
        self._table = table
        self._committer = committer
        self._agenda = agenda

    async def fire(self, limit: int, clock: Clock) -> int:
        """Move due timers into the outbox, of one key in order of time; return how many."""
        now = microseconds(await self._now(clock))
        if not self._agenda.calls_for_a_look(now):
            return 0
        due = await self._look(now, limit)
        by_key: dict[str, list[Attribute]] = defaultdict(list)
        for item in due:
            by_key[item["key"]["S"]].append(item)
        slots = asyncio.Semaphore(_AT_ONCE)
        fired = sum(await asyncio.gather(*(self._fire(items, clock, slots) for items in by_key.values())))
        if fired < len(due) or fired == limit:
            self._agenda.look_soon()  # what another replica is at, or more than was asked for
        return fired

    async def overdue_seconds(self, clock: Clock) -> float:
        """Return for how long the timer has been due that is due the longest, 0.0 where none is."""
        now = microseconds(await self._now(clock))
        return max((now - due_of(item) for item in await self._first(until=now, limit=1)), default=0) / 1_000_000

    async def _look(self, now: int, limit: int) -> list[Attribute]:
        """Return the first timers that are due, oldest first, and have the agenda know what follows."""
        horizon = self._agenda.horizon(now)
        found = sorted(await self._first(until=horizon, limit=limit), key=due_of)
        due = [item for item in found if due_of(item) <= now]
        self._agenda.looked(horizon, map(due_of, found[len(due) :]))
        return due[:limit]

    async def _first(self, *, until: int, limit: int) -> Sequence[Attribute]:
        """Return the first timers of each partition, so many at most."""
        queries = [due_query(self._table, shard, until=until, Limit=limit) for shard in timer_partitions()]
        pages = await asyncio.gather(*(self._client.call("Query", **query) for query in queries))
        return list(chain.from_iterable(page["Items"] for page in pages))

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


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _items(records: Sequence[Record]) -> list[Attribute]:
    """Return the records of one event as they are stored: the first has the body of all, as an item has 400 KB."""
    first, *others = map(record_item, records)
    return [first, *({name: typed for name, typed in each.items() if name != "body"} for each in others)]


def _records(item: Attribute) -> list[Record]:
    first, *others = (typed["M"] for typed in item["records"]["L"])
    return [record_of(first), *(record_of({"body": first["body"], **each}) for each in others)]
