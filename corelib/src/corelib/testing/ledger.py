"""The book of a simulation: what was committed, what was handled, and whether corelib's promises were kept."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from corelib.actor import Route
from corelib.memory.cluster import Cluster
from corelib.memory.database import Database, Unit
from corelib.message import Record

Stream = tuple[str, str]
"""A handler and a key."""


class PromiseBroken(AssertionError):
    """Raised when a schedule ends in what corelib promises never to happen."""


@dataclass(frozen=True)
class Happening:
    """A committed transaction, and when."""

    time: datetime
    unit: Unit


class Ledger:
    """Watches every commit of a database."""

    def __init__(self, database: Database, routes: Sequence[Route]) -> None:
        self.happenings: list[Happening] = []
        self._database = database
        self._routes = routes
        self._owed: dict[tuple[str, str], Record] = {}
        self._committed: dict[Stream, list[str]] = defaultdict(list)
        self._handled: dict[Stream, list[str]] = defaultdict(list)
        self._keys: dict[tuple[str, str], str] = {}
        database.observers.append(self._watch)

    def settled(self) -> bool:
        """Tell whether every committed event is handled or parked, and no timer is pending."""
        parked = {(each.handler, each.record.header("ce_id")) for each in self._database.parked}
        return not self._database.timers and all(debt in parked for debt in self._owed)

    def owed(self) -> list[str]:
        """Say in words which events still lack which handler."""
        debts = [f"{handler} has not handled {event_id}" for handler, event_id in self._owed]
        return debts + [f"timer {timer_id} has not fired" for timer_id in self._database.timers]

    def check(self, *, skew: timedelta) -> None:
        """Raise `PromiseBroken` for the first promise that was not kept."""
        self._check_order()
        self._check_parking()
        self._check_timers(skew)

    def check_topics(self, cluster: Cluster, *, once: bool) -> None:
        """Raise `PromiseBroken` for an event on a topic that nobody committed, or (`once`) that is there twice."""
        committed = Counter(_place(record) for each in self.happenings for record in each.unit.records)
        seen: Counter[Stream] = Counter()
        for partition in cluster.partitions.values():
            seen.update(_place(past.record) for past in partition.past(0, partition.stable()))
        for place, times in seen.items():
            _require(place in committed, f"event {place} was sent but never committed")
            _require(not once or times == 1, f"event {place} stands {times} times on its topic")

    def _watch(self, unit: Unit) -> None:
        self.happenings.append(Happening(self._database.clock.now(), unit))
        for record in unit.records:
            event_id, kind = record.header("ce_id") or "", record.header("ce_type")
            for route in self._routes:
                taken_from = {channel.name for channel in route.event.channels}
                if route.event.type == kind and record.channel in taken_from:
                    self._owed[route.name, event_id] = record
                    self._keys[route.name, event_id] = record.key
                    # Timers that fire on two nodes at once have no lock in common, so no order between them.
                    if not unit.fired:
                        self._committed[route.name, record.key].append(event_id)
        for mark in unit.marks:
            if (mark.scope, mark.id) in self._keys:
                self._owed.pop((mark.scope, mark.id), None)
                self._handled[mark.scope, self._keys[mark.scope, mark.id]].append(mark.id)

    def _check_order(self) -> None:
        for stream, handled in self._handled.items():
            numbers = {event_id: number for number, event_id in enumerate(self._committed[stream])}
            order = [numbers[event_id] for event_id in handled if event_id in numbers]
            _require(order == sorted(set(order)), f"{stream} was handled in the order {order}")

    def _check_parking(self) -> None:
        parked: dict[Stream, list[str]] = defaultdict(list)
        for each in self._database.parked:
            parked[each.handler, each.record.key].append(each.record.header("ce_id") or "")
        for stream, event_ids in parked.items():
            handled = set(self._handled[stream])
            # One that came again after it was handled may wait there too: its mark makes it harmless.
            waiting = [event_id for event_id in event_ids if event_id not in handled]
            behind = [event_id for event_id in self._committed[stream] if event_id not in handled]
            _require(waiting == behind, f"{stream}: parked are {waiting}, not handled are {behind}")
            after = self._committed[stream].index(behind[0]) if behind else len(self._committed[stream])
            beyond = [event_id for event_id in self._committed[stream][after:] if event_id in handled]
            _require(not beyond, f"{stream}: {beyond} were handled though an event before them is parked")

    def _check_timers(self, skew: timedelta) -> None:
        due: dict[UUID, datetime] = {}
        fired: Counter[UUID] = Counter()
        for each in self.happenings:
            due.update({scheduled.timer.id: scheduled.at for scheduled in each.unit.scheduled})
            for timer in each.unit.cancelled:
                due.pop(timer.id, None)
            for timer_id in each.unit.fired:
                fired[timer_id] += 1
                _require(timer_id in due, f"timer {timer_id} fired though it was cancelled or never set")
                early = due[timer_id] - skew - each.time
                _require(early <= timedelta(0), f"timer {timer_id} fired {early} too early")
        for timer_id in due:
            _require(fired[timer_id] == 1, f"timer {timer_id} fired {fired[timer_id]} times")


def _place(record: Record) -> Stream:
    return record.channel, record.header("ce_id") or ""


def _require(kept: bool, broken: str) -> None:  # noqa: FBT001 -- an assertion
    if not kept:
        raise PromiseBroken(broken)
