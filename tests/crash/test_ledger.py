"""That a loss, a double and a change of order are found at all."""

from dataclasses import replace

import pytest

from crash.app import EntryAdded, EntryBooked, EntryChimed, EntryStamped
from crash.ledger import Entry, Facts, Told, findings

ENTRIES = [Entry("e1", "a", 1, chimes=True), Entry("e2", "a", 2, chimes=False), Entry("e3", "b", 1, chimes=False)]
TOLD = [
    Told(EntryAdded.type, "a", 1),
    Told(EntryAdded.type, "b", 1),
    Told(EntryAdded.type, "a", 2),
    Told(EntryBooked.type, "a", 1),
    Told(EntryBooked.type, "a", 2),
    Told(EntryBooked.type, "b", 1),
    Told(EntryStamped.type, "a", 1),
    Told(EntryStamped.type, "b", 1),
    Told(EntryStamped.type, "a", 2),
    Told(EntryChimed.type, "a", 1),
]
GOOD = Facts(
    journal=[("committed", "e1"), ("unsure", "e2"), ("trying", "e3"), ("undone", "e4"), ("unsure", "e5")],
    entries=ENTRIES,
    effects=TOLD,
    records=TOLD,
)


def test_a_good_run_has_no_findings() -> None:
    assert findings(GOOD) == []


@pytest.mark.parametrize(
    ("bad", "finding"),
    [
        (replace(GOOD, effects=TOLD[:-1]), "in the effect: crash.entry.chimed.v1 of a number 1 is lost"),
        (replace(GOOD, records=TOLD[1:]), "on the topic: crash.entry.added.v1 of a number 1 is lost"),
        (replace(GOOD, effects=[*TOLD, TOLD[2]]), "in the effect: crash.entry.added.v1 of a number 2 is there 2 times"),
        (
            replace(GOOD, effects=[*TOLD[3:], *TOLD[2::-1]]),
            "in the effect: crash.entry.added.v1 of a: number 1 came after 2",
        ),
        (
            replace(GOOD, records=[*TOLD, Told(EntryAdded.type, "c", 1)]),
            "on the topic: crash.entry.added.v1 of c number 1 has no committed entry",
        ),
        (replace(GOOD, journal=[*GOOD.journal, ("committed", "e9")]), "the committed entry e9 is gone"),
        (replace(GOOD, journal=[*GOOD.journal, ("undone", "e1")]), "the entry e1 was rolled back, and is there"),
        (replace(GOOD, journal=GOOD.journal[1:]), "nobody wrote the entry e1"),
        (replace(GOOD, parked=["poison"]), "parked: poison"),
    ],
)
def test_what_is_wrong_is_found(bad: Facts, finding: str) -> None:
    assert findings(bad) == [finding]
