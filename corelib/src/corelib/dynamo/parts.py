"""What an item has no room for lies beside it in several, its parts: they have a partition of their own."""

from corelib.dynamo.client import Client
from corelib.dynamo.items import Attribute, attribute, value_of
from corelib.dynamo.layout import key_of

ROOM = 360_000
"""So many bytes of an item's 400 KB may be one thing: what else there is, keys and reasons, is short."""


def parts_of(whole: str, content: bytes) -> list[Attribute]:
    """Return the items that a content lies in; `whole` is its name."""
    pieces = [content[at : at + ROOM] for at in range(0, len(content), ROOM)]
    return [
        {**key, "content": attribute(piece)} for key, piece in zip(keys_of(whole, len(pieces)), pieces, strict=True)
    ]


def keys_of(whole: str, count: int) -> list[Attribute]:
    """Return the keys of so many parts."""
    return [key_of("part", whole, sort=f"{number:03d}") for number in range(count)]


async def joined(client: Client, table: str, whole: str, count: int) -> bytes | None:
    """Return the content of so many parts; None where they are there no longer."""
    (first,) = keys_of(whole, 1)
    query = {
        "TableName": table,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": first["pk"]},
        "ConsistentRead": True,
    }
    parts = [part async for page in client.pages("Query", **query) for part in page["Items"]]
    return b"".join(value_of(part["content"]) for part in parts) if len(parts) == count else None
