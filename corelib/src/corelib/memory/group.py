"""A consumer group: who is in it, which partitions each member has, how far they have come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from corelib.clock import Clock

_SESSION = timedelta(seconds=10)
_REBALANCE = timedelta(seconds=30)

Place = tuple[str, int]


class NotAMember(Exception):
    """Raised when a member was thought dead, or is of an earlier generation."""


@dataclass
class Member:
    """One client, and what it wants."""

    places: Sequence[Place]
    seen: datetime
    ready: bool = False


@dataclass
class Group:
    """Every change of members ends a generation: all give back what they had, then share anew."""

    clock: Clock
    generation: int = 0
    offsets: dict[Place, int] = field(default_factory=dict)
    _members: dict[str, Member] = field(default_factory=dict)
    _assigned: dict[str, list[Place]] = field(default_factory=dict)
    _rebalancing_since: datetime | None = None

    def join(self, member: str, places: Sequence[Place]) -> None:
        """Take in a member; the others hear of it at their next heartbeat."""
        self._members[member] = Member(places, self.clock.now())
        self._rebalance()

    def heartbeat(self, member: str, generation: int) -> bool:
        """Tell whether the member may go on with what it has; False asks it to give it back. Raises `NotAMember`."""
        self._seen(member)
        return self._rebalancing_since is None and generation == self.generation

    def sync(self, member: str) -> tuple[int, dict[Place, int]] | None:
        """Say that the member gave back what it had.

        Return the new generation and the member's partitions with their offsets, None while others are still at it.
        """
        self._seen(member).ready = True
        if self._rebalancing_since is not None:
            self._share_when_ready(self._rebalancing_since)
        if self._rebalancing_since is not None:
            return None
        return self.generation, {place: self.offsets.get(place, 0) for place in self._assigned[member]}

    def commit(self, member: str, generation: int, offsets: Mapping[Place, int]) -> None:
        """Keep how far a member has come. Raises `NotAMember` for one whose partitions may be another's by now."""
        self._seen(member)
        if generation != self.generation:
            raise NotAMember
        self.offsets.update(offsets)

    def leave(self, member: str) -> None:
        """Let a member go."""
        if self._members.pop(member, None) is not None:
            self._rebalance()

    def _seen(self, member: str) -> Member:
        now = self.clock.now()
        for name in [name for name, each in self._members.items() if each.seen < now - _SESSION]:
            self.leave(name)
        if member not in self._members:
            raise NotAMember
        self._members[member].seen = now
        return self._members[member]

    def _rebalance(self) -> None:
        self._rebalancing_since = self.clock.now()
        for each in self._members.values():
            each.ready = False

    def _share_when_ready(self, since: datetime) -> None:
        if self.clock.now() > since + _REBALANCE:
            for name in [name for name, each in self._members.items() if not each.ready]:
                del self._members[name]
        if not all(each.ready for each in self._members.values()):
            return
        self._rebalancing_since = None
        self.generation += 1
        names = sorted(self._members)
        self._assigned = {name: [] for name in names}
        places = sorted({place for each in self._members.values() for place in each.places})
        for number, place in enumerate(places):
            wanting = [name for name in names if place in self._members[name].places]
            self._assigned[wanting[number % len(wanting)]].append(place)
