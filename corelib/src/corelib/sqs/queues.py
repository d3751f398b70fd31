"""SQS's queues by the names of their channels: calls, addresses, creation."""

import json
from typing import Any

from botocore.exceptions import ClientError

from corelib.aws.clients import Aws
from corelib.aws.trouble import Refusals, code_of
from corelib.aws.wire import SQS, wire
from corelib.errors import Unavailable
from corelib.message import Channel

BATCH = 10
_FIFO = ".fifo"
_MISSING = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})


class Queues:
    """A channel's queue is `{aws.prefix}{channel}`, its dead-letter queue ends in "-dlq"."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.refusals = Refusals("sqs")
        self._urls: dict[str, str] = {}
        self.absent: set[str] = set()  # names of queues that were lately looked for in vain

    async def open(self) -> None:
        """Connect."""
        await self.aws.open()
        await wire(self.aws, SQS)

    async def close(self) -> None:
        """Disconnect."""
        await self.aws.close()

    async def call(self, operation: str, *, patience_seconds: float = 0.0, **params: Any) -> dict[str, Any]:
        """Call one operation by its name in the protocol. Raises `Unavailable` when there is no answer in time."""
        with self.refusals.reaching(operation):
            return await (await wire(self.aws, SQS)).call(operation, params, patience_seconds=patience_seconds)

    async def url(self, channel: str) -> str:
        """Return the address of a channel's queue. Raises `Unavailable` where there is none."""
        if name := await self.missing(channel):
            raise Unavailable("sqs", f"queue {name} does not exist")
        return self._urls[channel]

    async def missing(self, channel: str) -> str | None:
        """Return the name of a channel's queue if there is no such queue; a queue that was seen once is there."""
        if channel in self._urls:
            return None
        name = f"{self.aws.prefix}{channel}"
        try:
            self._urls[channel] = (await self.call("GetQueueUrl", QueueName=name))["QueueUrl"]
        except ClientError as error:
            if code_of(error) in _MISSING:
                return name
            raise Unavailable("sqs", f"queue {name}: {error}") from error
        return None

    def forget(self, url: str, error: ClientError) -> bool:
        """Look for a queue anew from now on, if this is why it was not found."""
        if code_of(error) not in _MISSING:
            return False
        self._urls = {channel: known for channel, known in self._urls.items() if known != url}
        return True

    async def provision(self, channel: Channel) -> None:
        """Create a channel's queue and its dead-letter queue where they are missing; idempotent."""
        dead = await self._create(dead_letters_of(channel.name), {})
        answer = await self.call("GetQueueAttributes", QueueUrl=dead, AttributeNames=["QueueArn"])
        redrive = {"deadLetterTargetArn": answer["Attributes"]["QueueArn"], "maxReceiveCount": channel.max_receives}
        self._urls[channel.name] = await self._create(channel.name, {"RedrivePolicy": json.dumps(redrive)})

    async def _create(self, channel: str, attributes: dict[str, str]) -> str:
        fixed = {"FifoQueue": "true"} if is_fifo(channel) else {}
        answer = await self.call("CreateQueue", QueueName=f"{self.aws.prefix}{channel}", Attributes=fixed)
        url: str = answer["QueueUrl"]
        if attributes:
            # Set apart from creation, which refuses a queue whose attributes differ.
            await self.call("SetQueueAttributes", QueueUrl=url, Attributes=attributes)
        return url


def is_fifo(channel: str) -> bool:
    """Return whether a channel's queue keeps order; SQS wants it in the name."""
    return channel.endswith(_FIFO)


def dead_letters_of(channel: str) -> str:
    """Return the name of a channel's dead-letter queue; that of a FIFO queue is FIFO too."""
    return f"{channel.removesuffix(_FIFO)}-dlq{_FIFO}" if is_fifo(channel) else f"{channel}-dlq"
