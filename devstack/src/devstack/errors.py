"""What can go wrong while the stack starts; each says what to do about it."""

from collections.abc import Sequence


class DevstackError(Exception):
    """Raised when the stack cannot do what was asked; the message is for the person at the terminal."""

    exit_code = 1


class MissingPrerequisite(DevstackError):
    """Raised when this machine lacks a program the stack cannot bring along."""

    exit_code = 2


class PortBusy(DevstackError):
    """Raised when somebody else listens on the port of a part."""

    def __init__(self, part: str, port: int, variable: str) -> None:
        super().__init__(
            f"Port {port}, wanted for {part}, is in use by another program:"
            f" stop that one, or choose another port with {variable}."
        )
        self.part = part
        self.port = port


class PartDied(DevstackError):
    """Raised when a part ends, or does not get ready, while it is being started."""

    def __init__(self, part: str, what: str, log: str, tail: Sequence[str]) -> None:
        shown = "\n".join(f"  | {line}" for line in tail) or "  | (its log is empty)"
        super().__init__(f"{part} {what}. The last lines of {log}:\n{shown}")
        self.part = part
        self.tail = tuple(tail)


class FetchFailed(DevstackError):
    """Raised when something to be fetched once into the cache is not to be had, or is not what it should be."""
