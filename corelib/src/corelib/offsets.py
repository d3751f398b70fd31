"""The book on one partition: which records are in hand, and up to where all is finished."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Offsets:
    """`next` is where to go on once all of `unfinished` is done; `committed` is what the broker knows."""

    next: int = 0
    committed: int = -1
    unfinished: set[int] = field(default_factory=set)

    def take(self, offsets: Iterable[int]) -> None:
        """Count a whole fetch as unfinished before any of it can be finished."""
        for offset in offsets:
            self.unfinished.add(offset)
            self.next = offset + 1

    def done(self, offset: int) -> None:
        """Finish one."""
        self.unfinished.discard(offset)

    def committable(self) -> int:
        """Return the lowest unfinished offset: everything before it is finished."""
        return min(self.unfinished, default=self.next)

    @property
    def behind(self) -> bool:
        """Whether the broker should be told."""
        return self.committable() > self.committed
