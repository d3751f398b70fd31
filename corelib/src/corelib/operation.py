"""What an operator did to a service's events, kept with them: who, what, why, and how far it came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from corelib.errors import LeaseLost
from corelib.ids import uuid7


class Run(BaseModel):
    """Who carries an operation out, since when, and until when alone, which is put off for as long as it goes on."""

    model_config = ConfigDict(frozen=True)

    who: str
    since: AwareDatetime
    until: AwareDatetime
    failed: str = ""
    id: UUID = Field(default_factory=uuid7)


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
    run: Run | None = None
    id: UUID = field(default_factory=uuid7)

    def outcome(self, now: datetime) -> str:
        """Say when it ended well, or what it failed of, or that it is at work, or was interrupted."""
        if self.ended:
            return self.ended.isoformat(timespec="seconds")
        if self.run and self.run.failed:
            return f"failed: {self.run.failed}"
        return "at work" if self.run and self.run.until > now else "interrupted"


class Operations(Protocol):
    """The audit of a store."""

    async def save(self, operation: Operation, *, over: UUID | None = None) -> None:
        """Write an operation, or how far it has come since.

        Raises `LeaseLost` where the run that wrote it last is neither the operation's own nor the one it goes `over`.
        """
        ...

    async def find(self, id: UUID) -> Operation | None:  # noqa: A002 -- the operation's own word
        """Return one, None where there is none."""
        ...

    async def list(self) -> Sequence[Operation]:
        """Return all, the latest first."""
        ...


def lost(operation: Operation) -> LeaseLost:
    """Return what a store raises where another run has written an operation."""
    return LeaseLost(f"{operation.kind} {operation.id} was taken over by somebody else")
