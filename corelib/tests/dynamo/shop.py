"""A shop on DynamoDB, for the tests of its store."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

from corelib.documents import Index, Table
from corelib.dynamo.outbox import Outbox
from corelib.dynamo.store import Dynamo
from corelib.message import Channel, Event, Transport
from corelib.metrics import AWS_CALLS
from corelib.store import Pending, Store

ORDERS = Channel("orders")
MAILS = Channel("mails", Transport.SQS)
CARTS = Table("carts", "user_id")
LINES = Table("lines", "order_id", "line", (Index("by_product", "product_id", "order_id"),), ttl="expires_at")
CHANNELS = frozenset({"orders"})
Open = Callable[..., Awaitable[Dynamo]]


class Placed(Event, type="test.placed.v1", channels=(ORDERS,), key="order_id"):
    order_id: str
    number: int = 0
    text: str = ""


class Mailed(Event, type="test.mailed.v1", channels=(ORDERS, MAILS), key="order_id"):
    order_id: str
    text: str = ""


async def reader(store: Store, relay: str = "kafka", channels: frozenset[str] = CHANNELS) -> Outbox:
    outbox = store.outbox(relay, channels)
    assert isinstance(outbox, Outbox)
    assert await outbox.acquire(uuid4().hex)
    return outbox


async def place(store: Dynamo, order_id: str, *numbers: int) -> None:
    async with store.transaction() as tx:
        for number in numbers:
            tx.publish(Placed(order_id=order_id, number=number))


def numbers(pending: list[Pending] | tuple[Pending, ...], order_id: str = "o-1") -> list[int]:
    return [
        Placed.model_validate_json(entry.record.payload).number for entry in pending if entry.record.key == order_id
    ]


async def read(outbox: Outbox, limit: int = 100) -> list[Pending]:
    return list(await outbox.read(limit))


def queries() -> float:
    """Return how many queries this process has asked so far."""
    return float(AWS_CALLS.labels("dynamodb", "Query")._value.get())
