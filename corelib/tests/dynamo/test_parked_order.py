"""A parked queue is read in order, in pages; what joins meanwhile is never listed without what is ahead of it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from corelib.dynamo.parked_items import partition
from corelib.dynamo.store import Dynamo
from corelib.message import Envelope, Record
from corelib.store import Failure

HANDLER, KEY = "Shelf.placed", "o-1"


def event(first: str) -> Record:
    """Return an event whose id begins so: that is not what its queue is sorted by."""
    envelope = Envelope(UUID(first.ljust(32, "0")), "test.placed.v1", "test", datetime.now(UTC), KEY)
    return envelope.record("orders", b"{}")


def between_pages(store: Dynamo, monkeypatch: pytest.MonkeyPatch, *joining: Record) -> None:
    """Have pages of one record, and let records join behind the first page of the next query for them."""
    call, left = store._client.call, list(joining)

    async def paged(operation: str, **params: Any) -> dict[str, Any]:
        if operation != "Query" or params["ExpressionAttributeValues"][":pk"] != {"S": partition(HANDLER, KEY)}:
            return await call(operation, **params)
        page = await call(operation, **params | {"Limit": 1})
        now, left[:] = left[:], []
        assert await store.parking.append(HANDLER, *now) == len(now)
        return page

    monkeypatch.setattr(store._client, "call", paged)


@pytest.mark.parametrize("asked", [(), (HANDLER,), (HANDLER, KEY)])
async def test_what_joins_while_a_list_is_read_is_not_listed_without_what_is_ahead_of_it(
    store: Dynamo, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...]
) -> None:
    there, joining = [event("5"), event("6")], [event("1"), event("f")]
    await store.parking.park(HANDLER, there[0], Failure("ValueError: it broke"), attempts=8)
    assert await store.parking.append(HANDLER, there[1]) == 1
    between_pages(store, monkeypatch, *joining)
    assert [each.record for each in await store.parking.list(*asked)] == there
    assert [each.record for each in await store.parking.list(*asked)] == [*there, *joining]
