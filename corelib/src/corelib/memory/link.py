"""The way between a client and the server that it talks to. In one process it is a call; a simulation makes it fail."""

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Link(Protocol):
    """Carries requests: each is done by the server at one moment, or not at all."""

    async def call(self, what: str, work: Callable[[], T]) -> T:
        """Have the server do `work`, return its answer. `Unavailable` says nothing of whether it was done."""
        ...

    def drop(self, work: Callable[[], object]) -> None:
        """Have the server do `work` once it notices that this client has gone."""
        ...


class Direct:
    """Implements `Link` where client and server share a process."""

    async def call(self, what: str, work: Callable[[], T]) -> T:  # noqa: ARG002 -- a name for those who trace
        """Do it at once."""
        return work()

    def drop(self, work: Callable[[], object]) -> None:
        """Do it at once."""
        work()
