"""What goes together: bounded in number, and in bytes."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def batches(many: Iterable[T], size: Callable[[T], int], *, most: int, most_bytes: int) -> Iterator[list[T]]:
    """Yield in order as many at once as fit; one that is too large by itself goes alone."""
    some: list[T] = []
    room = most_bytes
    for each in many:
        if some and (len(some) == most or size(each) > room):
            yield some
            some, room = [], most_bytes
        some.append(each)
        room -= size(each)
    if some:
        yield some
