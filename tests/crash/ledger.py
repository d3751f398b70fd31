"""What must hold after everything was killed: facts from journal, state, effects and topics, and what is wrong."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from crash.app import OF_EACH, EntryChimed


class Entry(NamedTuple):
    """A committed entry, as the state has it."""

    id: str
    account: str
    number: int
    chimes: bool


class Told(NamedTuple):
    """An event seen somewhere: as an effect, or as a record on a topic, in the order of that place."""

    kind: str
    account: str
    number: int


@dataclass
class Facts:
    """Everything known at the end of a run."""

    journal: list[tuple[str, str]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    effects: list[Told] = field(default_factory=list)
    records: list[Told] = field(default_factory=list)
    parked: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """Return how much there was of everything."""
        words = Counter(word for word, _ in self.journal)
        told = ", ".join(f"{words[word]} {word}" for word in ("trying", "committed", "undone", "unsure"))
        return f"{told}; {len(self.entries)} entries, {len(self.effects)} effects, {len(self.records)} records"


def read_journal(files: Iterable[Path]) -> list[tuple[str, str]]:
    """Return what the writers were told, as pairs of word and entry; a line cut short by a kill is left out."""
    lines = [line for file in files for line in file.read_text().splitlines()]
    return [(what, entry) for what, _, entry in (line.partition(" ") for line in lines) if entry]


def findings(facts: Facts) -> list[str]:
    """Return everything that is wrong, in plain words."""
    return [
        *_of_state(facts),
        *(f"in the effect: {finding}" for finding in _of_events(facts.entries, facts.effects)),
        *(f"on the topic: {finding}" for finding in _of_events(facts.entries, facts.records)),
        *(f"parked: {reason}" for reason in facts.parked),
    ]


def _of_state(facts: Facts) -> Iterable[str]:
    """A transaction whose answer was lost may be there or not; all others must be as they were told."""
    there = {entry.id for entry in facts.entries}
    for what, entry in facts.journal:
        if what == "committed" and entry not in there:
            yield f"the committed entry {entry} is gone"
        if what == "undone" and entry in there:
            yield f"the entry {entry} was rolled back, and is there"
    for entry in there - {entry for _, entry in facts.journal}:
        yield f"nobody wrote the entry {entry}"


def _of_events(entries: Sequence[Entry], told: Sequence[Told]) -> Iterable[str]:
    """Each event once, and those of an account in the order of its commits; timers have an order of their own."""
    expected = {Told(kind.type, e.account, e.number) for e in entries for kind in OF_EACH}
    expected |= {Told(EntryChimed.type, e.account, e.number) for e in entries if e.chimes}
    counted = Counter(told)
    for event in sorted(expected | counted.keys()):
        name = f"{event.kind} of {event.account} number {event.number}"
        if event not in expected:
            yield f"{name} has no committed entry"
        elif counted[event] != 1:
            yield f"{name} is lost" if not counted[event] else f"{name} is there {counted[event]} times"
    lanes: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in dict.fromkeys(told):
        if event.kind != EntryChimed.type:
            lanes[event.kind, event.account].append(event.number)
    for (kind, account), numbers in lanes.items():
        for before, after in pairwise(numbers):
            if after < before:
                yield f"{kind} of {account}: number {after} came after {before}"
