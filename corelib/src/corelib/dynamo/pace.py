"""How often to look into the index for what other replicas committed."""

from dataclasses import dataclass

# With a stream that is read without a break, a look is for what nobody expects.
_STREAMED_SECONDS = 10.0
UNAIDED_SECONDS = 1.0


@dataclass
class Pace:
    """The pace of a store: `unaided`, or seldom while its stream is `streamed` to it without a break."""

    unaided: float = UNAIDED_SECONDS
    streamed: bool = False

    @property
    def seconds(self) -> float:
        """The longest time between two looks."""
        return max(self.unaided, _STREAMED_SECONDS) if self.streamed else self.unaided
