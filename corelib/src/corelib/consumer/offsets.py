"""The book on one partition: which records are in hand, and up to where all is finished."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(eq=False)
class Offsets:
    """One assignment of a partition, from its first record to its revocation.

    `next` is where to go on once all of `unfinished` is done; `committed` is what the broker knows; `begun` is at work;
    with `most` unfinished, no more are fetched.
    """

    next: int = 0
    most: int = 1
    committed: int = -1
    unfinished: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)
    revoked: bool = False
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, offsets: Iterable[int]) -> None:
        """Count a whole fetch as unfinished before any of it can be finished."""
        for offset in offsets:
            self.unfinished.add(offset)
            self.next = offset + 1

    def begin(self, offset: int) -> bool:
        """Say that work on one begins, or goes on; False once the partition was revoked."""
        if self.revoked:
            self._leave(offset)
            return False
        self.begun.add(offset)
        return True

    def done(self, offset: int) -> None:
        """Finish one."""
        self.unfinished.discard(offset)
        self._leave(offset)

    def revoke(self) -> None:
        """Let nothing more begin; `settled` is set once nothing is at work any more."""
        self.revoked = True
        self._settle()

    def committable(self) -> int:
        """Return the lowest unfinished offset: everything before it is finished."""
        return min(self.unfinished, default=self.next)

    @property
    def behind(self) -> bool:
        """Whether the broker should be told."""
        return self.committable() > self.committed

    def _leave(self, offset: int) -> None:
        self.begun.discard(offset)
        self._settle()

    def _settle(self) -> None:
        if self.revoked and not self.begun:
            self.settled.set()
