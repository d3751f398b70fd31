"""What an operator did to a service's events, kept with them: who, what, why, and how far it came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from corelib.ids import uuid7


@dataclass(frozen=True)
class Operation:
    """An audit row; `details` is what was asked for, `progress` where to go on after an interruption (JSON both)."""

    kind: str
    who: str
    reason: str
    details: Mapping[str, Any]
    began: datetime
    progress: Mapping[str, Any] = field(default_factory=dict)
    ended: datetime | None = None
    id: UUID = field(default_factory=uuid7)


class Operations(Protocol):
    """The audit of a store."""

    async def save(self, operation: Operation) -> None:
        """Write an operation, or how far it has come since."""
        ...

    async def find(self, id: UUID) -> Operation | None:  # noqa: A002 -- the operation's own word
        """Return one, None where there is none."""
        ...

    async def list(self) -> Sequence[Operation]:
        """Return all, the latest first."""
        ...
