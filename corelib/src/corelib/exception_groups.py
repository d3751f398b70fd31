"""What a handler's `asyncio.TaskGroup` or gathered work failed with, as if it had awaited one thing after another."""

from types import TracebackType

from corelib.errors import Conflict, Unavailable


class _Ungrouped:
    """Around code that is not ours: `with ungrouped:`."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Nothing is to be done before."""

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """Raise what a group of one has; of many, first what waiting mends: what is down also fails others.

        A group of faults alone stays one, so that the log has them all.
        """
        if not isinstance(error, ExceptionGroup):
            return
        leaves = _leaves(error)
        for kind in (Unavailable, Conflict):
            for leaf in leaves:
                if isinstance(leaf, kind):
                    raise leaf from leaf.__cause__
        if len(leaves) == 1:
            raise leaves[0] from leaves[0].__cause__


def _leaves(group: "ExceptionGroup[Exception]") -> list[Exception]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, ExceptionGroup) else [error])
    ]


ungrouped = _Ungrouped()
