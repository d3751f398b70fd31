"""Who is told of what was committed, by this process or by others: outboxes, timers, sleepers."""

from collections.abc import Sequence

from corelib.dynamo.items import Attribute
from corelib.dynamo.layout import Entry, due_of, entry_of, is_pending, is_timer
from corelib.dynamo.outbox import Outbox
from corelib.dynamo.pace import Pace
from corelib.dynamo.timers import Agenda
from corelib.wake import EventWake


class Listeners:
    """Passes on what one process of a store hears."""

    def __init__(self, agenda: Agenda, pace: Pace) -> None:
        self._agenda = agenda
        self._pace = pace
        self.outboxes: list[Outbox] = []
        self._wakes: list[EventWake] = []

    @property
    def relaying(self) -> bool:
        """Whether any outbox here has a share."""
        return any(outbox.held for outbox in self.outboxes)

    def wake(self) -> EventWake:
        """Return a signal of its own for each caller: of two relays neither takes the other's."""
        wake = EventWake()
        self._wakes.append(wake)
        return wake

    def committed(self, entries: Sequence[Entry]) -> None:
        """Hear of entries that this process committed."""
        for outbox in self.outboxes:
            outbox.offer(entries)
        for wake in self._wakes:
            wake.set()

    def streamed(self, items: Sequence[Attribute]) -> bool:
        """Hear of new items by the stream; return whether any outbox here learnt something by it."""
        self._agenda.hear(due_of(item) for item in items if is_timer(item))
        entries = [entry_of(item) for item in items if is_pending(item)]
        learnt = sum(outbox.offer(entries) for outbox in self.outboxes)
        if learnt:
            for wake in self._wakes:
                wake.set()
        return bool(learnt)

    def following(self, *, whole: bool) -> None:
        """Hear whether the stream is followed; not `whole` where something of it may have been missed."""
        self._pace.streamed = whole
        self._agenda.look_soon()
        for outbox in self.outboxes:
            outbox.sweep_soon()
