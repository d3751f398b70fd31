"""Plain Python values to DynamoDB's typed attributes and back; boto3's own serializer is several times slower."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from corelib.documents import Item

Attribute = dict[str, Any]


def attribute(value: Any) -> Attribute:
    """Return a value's typed form. Raises `TypeError` for what corelib does not store, such as a float."""
    write = _WRITE.get(type(value))
    if write is not None:
        return write(value)
    if isinstance(value, str):  # StrEnum
        return {"S": str(value)}
    raise TypeError(
        f"{value!r} is a {type(value).__name__}: documents hold str, int, bool, None, bytes, lists and dicts"
    )


def pack(item: Item) -> Attribute:
    """Return an item's attributes in their typed form."""
    return {name: attribute(value) for name, value in item.items()}


def value_of(typed: Attribute) -> Any:
    """Return the plain value of a typed attribute."""
    ((kind, value),) = typed.items()
    return _READ[kind](value)


def unpack(typed: Attribute) -> Item:
    """Return an item's plain values."""
    return _map(typed)


def _number(text: str) -> int | Decimal:
    try:
        return int(text)
    except ValueError:
        return Decimal(text)


def _map(typed: Attribute) -> Item:
    return {name: value_of(inner) for name, inner in typed.items()}


_WRITE: dict[type, Callable[[Any], Attribute]] = {
    str: lambda value: {"S": value},
    int: lambda value: {"N": str(value)},
    bool: lambda value: {"BOOL": value},
    bytes: lambda value: {"B": b64encode(value).decode()},
    type(None): lambda _: {"NULL": True},
    dict: lambda value: {"M": pack(value)},
    list: lambda value: {"L": [attribute(inner) for inner in value]},
    tuple: lambda value: {"L": [attribute(inner) for inner in value]},
}
_READ: dict[str, Callable[[Any], Any]] = {
    "S": str,
    "N": _number,
    "BOOL": bool,
    "B": b64decode,
    "NULL": lambda _: None,
    "M": _map,
    "L": lambda value: [value_of(inner) for inner in value],
    # Sets are read for the sake of items that others wrote; corelib writes none.
    "SS": set,
    "NS": lambda value: {_number(inner) for inner in value},
    "BS": lambda value: {b64decode(inner) for inner in value},
}
