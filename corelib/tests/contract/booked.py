"""What is booked by way of queues, and what is left in them."""

from collections.abc import Awaitable

from corelib.aws.clients import Aws
from corelib.clock import SystemClock
from corelib.ids import uuid7
from corelib.message import Channel, Envelope, Event, Record, Transport
from corelib.sqs.queues import Queues

MAILS = Channel("mails", Transport.SQS)
LEDGER = Channel("ledger.fifo", Transport.SQS)


class Booked(Event, type="test.booked.v1", channels=(LEDGER,), key="name"):
    name: str
    number: int


def record(number: int, channel: Channel = MAILS, key: str = "k") -> Record:
    envelope = Envelope(uuid7(), Booked.type, "test", SystemClock().now(), key)
    return envelope.record(channel.name, Booked(name=key, number=number).model_dump_json().encode())


async def waiting(aws: Aws, queue: str = MAILS.name) -> tuple[int, int]:
    """How many messages of a queue can be received, and how many are in somebody's hand."""
    queues = Queues(aws)
    answer = await queues.call("GetQueueAttributes", QueueUrl=await queues.url(queue), AttributeNames=["All"])
    attributes = answer["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"]), int(attributes["ApproximateNumberOfMessagesNotVisible"])


async def found(asked: Awaitable[object], expected: object) -> bool:
    return await asked == expected
