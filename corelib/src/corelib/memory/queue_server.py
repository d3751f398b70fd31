"""The server half of queues in memory, as SQS has them.

What is received is out of others' sight for a while, and comes again unless it is deleted in time. A FIFO queue (named
`.fifo`) gives nothing more of a key while something of it is in hand.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from corelib.clock import Clock, SystemClock
from corelib.history import sending_of
from corelib.message import Record

_ALWAYS = datetime.min.replace(tzinfo=UTC)
_SAME_WITHIN = timedelta(minutes=5)


@dataclass(eq=False)
class Message:
    """A record in a queue; the receipt changes with each delivery, so that a former one is good for nothing."""

    record: Record
    sent: datetime
    visible: datetime = _ALWAYS
    receipt: int = 0


@dataclass
class Queue:
    """Messages in the order in which they were sent; `known` has when each id was, for FIFO's deduplication."""

    is_fifo: bool
    messages: list[Message] = field(default_factory=list)
    known: dict[str, datetime] = field(default_factory=dict)


class QueueServer:
    """What outlives a client. Unknown queues are made at their first use."""

    def __init__(self, *, clock: Clock | None = None, visible: timedelta = timedelta(seconds=30)) -> None:
        self.clock = clock or SystemClock()
        self.visible = visible
        self.arrived = asyncio.Event()
        self.queues: dict[str, Queue] = {}
        self._receipts = count(1)

    def queue(self, channel: str) -> Queue:
        """Return a queue, made where there is none."""
        return self.queues.setdefault(channel, Queue(channel.endswith(".fifo")))

    def send(self, record: Record) -> None:
        """Store a record; a FIFO queue takes the same sending once within five minutes."""
        queue, now = self.queue(record.channel), self.clock.now()
        name = sending_of(record)
        if queue.is_fifo and name is not None:
            if now - queue.known.get(name, _ALWAYS) < _SAME_WITHIN:
                return
            queue.known = {each: at for each, at in queue.known.items() if now - at < _SAME_WITHIN} | {name: now}
        queue.messages.append(Message(record, now))
        self.announce()

    def receive(self, channels: Iterable[str], limit: int) -> list[tuple[Message, int]]:
        """Take up to so many messages of each queue in hand, each with its receipt."""
        now = self.clock.now()
        return [taken for channel in channels for taken in self._receive(self.queue(channel), now, limit)]

    def _receive(self, queue: Queue, now: datetime, limit: int) -> list[tuple[Message, int]]:
        held = {each.record.key for each in queue.messages if each.visible > now} if queue.is_fifo else set()
        free = [each for each in queue.messages if each.visible <= now and each.record.key not in held]
        for message in free[:limit]:
            message.visible, message.receipt = now + self.visible, next(self._receipts)
        return [(message, message.receipt) for message in free[:limit]]

    def delete(self, message: Message, receipt: int) -> None:
        """Forget a message; nothing happens by a receipt of an earlier delivery."""
        messages = self.queue(message.record.channel).messages
        if message.receipt == receipt and message in messages:
            messages.remove(message)
            self.announce()

    def show_in(self, message: Message, receipt: int, after: timedelta) -> bool:
        """Let a message be seen again after a while; False by a receipt of an earlier delivery."""
        if message.receipt != receipt:
            return False
        message.visible = self.clock.now() + after
        self.announce()
        return True

    def waiting(self, channel: str) -> int:
        """Return how many messages could be received now."""
        now = self.clock.now()
        return sum(each.visible <= now for each in self.queue(channel).messages)

    def announce(self) -> None:
        """Wake who waits for messages."""
        self.arrived.set()
        self.arrived = asyncio.Event()
