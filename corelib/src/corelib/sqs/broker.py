"""SQS as a broker: CloudEvents attributes as message attributes, the event's JSON as the body.

The event's key travels as the attribute `ce_partitionkey` (CloudEvents' partitioning extension). A channel whose name
ends in ".fifo" is a FIFO queue: group = key, deduplication id = event id, with that of the replay which sends it again.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from botocore.exceptions import ClientError

from corelib.aws.clients import Aws, backoff
from corelib.aws.trouble import code_of
from corelib.broker import Refused, Subscription
from corelib.errors import Unavailable
from corelib.history import sending_of
from corelib.message import KEY_ATTRIBUTE, Channel, Record, Transport
from corelib.sqs.queues import BATCH, Queues, is_fifo
from corelib.sqs.subscription import POLL_SECONDS, SqsSubscription
from corelib.transaction import size_of

_BATCH_BYTES = 256 * 1024
_MAX_ATTRIBUTES = 10
_ATTEMPTS = 4
_BATCHES_AT_ONCE = 8
# Of all that SQS calls the sender's fault, what is the record's. Others are mended by giving a right or a key.
_HOPELESS = frozenset({"InvalidMessageContents", "InvalidParameterValue", "MessageTooLong", "BatchRequestTooLong"})
_GROUP = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class _Message:
    """A record and its place in the caller's list."""

    place: int
    record: Record

    @property
    def stream(self) -> tuple[str, str]:
        return (self.record.channel, self.record.key)

    @property
    def size(self) -> int:
        return size_of(self.record)


_Outcomes = dict[int, bool | Refused]  # by place; what is not there was not sent


class Sqs:
    """Implements `Broker`; a channel's queue is `{aws.prefix}{channel}`, its dead-letter queue ends in "-dlq".

    So long, in `poll_seconds`, does a subscription wait for a message, and its stop for the end of that.
    """

    name = "sqs"

    def __init__(self, aws: Aws, *, poll_seconds: int = POLL_SECONDS) -> None:
        self.aws = aws
        self._poll_seconds = poll_seconds
        self._queues = Queues(aws)
        self._slots = asyncio.Semaphore(_BATCHES_AT_ONCE)

    async def open(self) -> None:
        """Connect."""
        await self._queues.open()

    async def close(self) -> None:
        """Disconnect; `send` leaves nothing behind to flush."""
        await self._queues.close()

    async def check(self) -> None:
        """Raise `Unavailable` unless SQS answers, and takes and gives what it was lately asked to."""
        try:
            await self._queues.call("ListQueues", QueueNamePrefix=self.aws.prefix, MaxResults=1)
        except ClientError as error:
            raise Unavailable("sqs", str(error)) from error
        self._queues.refusals.require_none()
        if absent := sorted(self._queues.absent):
            raise Unavailable("sqs", f"queues do not exist: {', '.join(absent)}: create them, or run --provision")

    async def missing(self, channels: Sequence[Channel]) -> Sequence[str]:
        """Return the names of the queues that do not exist. Raises `Unavailable`."""
        return [name for channel in channels if (name := await self._queues.missing(channel.name))]

    async def provision(self, channels: Sequence[Channel]) -> None:
        """Create missing queues, each with its dead-letter queue; idempotent."""
        for channel in channels:
            if channel.transport is Transport.SQS:
                await self._queues.provision(channel)

    def subscribe(self, group: str, channels: Sequence[Channel]) -> Subscription:  # noqa: ARG002 -- see below
        """Return a subscription to these queues, not yet open.

        A queue has one group of consumers, all who take from it: `group` names nothing here.
        """
        names = [channel.name for channel in channels]
        return SqsSubscription(self._queues, names, poll_seconds=self._poll_seconds)

    async def send(self, records: Sequence[Record]) -> Sequence[bool | Refused]:
        """Send all; return for each whether SQS stored it, or that it never will.

        A record behind a failed one of the same channel and key is never acknowledged. Raises `Unavailable` when
        nothing could be sent.
        """
        by_channel: dict[str, list[_Message]] = {}
        for place, record in enumerate(records):
            by_channel.setdefault(record.channel, []).append(_Message(place, record))
        answers = await asyncio.gather(
            *(self._send_channel(channel, messages) for channel, messages in by_channel.items()),
            return_exceptions=True,
        )
        return _in_order(records, _merge(answers))

    async def _send_channel(self, channel: str, messages: list[_Message]) -> _Outcomes:
        url = await self._queues.url(channel)
        if not is_fifo(channel):
            return await self._send_batches(url, messages)
        outcomes: _Outcomes = {}
        failed: set[tuple[str, str]] = set()
        for wave in _waves(messages):
            # Of one key one message is under way at a time: a later one must not overtake a failed one.
            try:
                outcomes |= await self._send_batches(url, [each for each in wave if each.stream not in failed])
            except Unavailable:
                if not outcomes:
                    raise
                break
            failed |= {each.stream for each in wave if not outcomes.get(each.place)}
        return outcomes

    async def _send_batches(self, url: str, messages: Sequence[_Message]) -> _Outcomes:
        sending = (self._send_batch(url, batch) for batch in _batches(messages))
        return _merge(await asyncio.gather(*sending, return_exceptions=True))

    async def _send_batch(self, url: str, batch: Sequence[_Message]) -> _Outcomes:
        try:
            async with self._slots:
                return await self._send_entries(url, batch)
        except ClientError as error:
            if code_of(error) not in _HOPELESS:
                raise Unavailable("sqs", f"{url}: {error}") from error
            if len(batch) == 1:
                return {batch[0].place: Refused(str(error))}
        # The batch is refused as a whole: by themselves the good ones go through.
        return _merge(await asyncio.gather(*(self._send_batch(url, [each]) for each in batch), return_exceptions=True))

    async def _send_entries(self, url: str, batch: Sequence[_Message]) -> _Outcomes:
        left = {
            str(message.place): entry_of_batch(str(message.place), message.record, fifo=is_fifo(url))
            for message in batch
        }
        outcomes: _Outcomes = {}
        for attempt in range(_ATTEMPTS):
            try:
                answer = await self._queues.call("SendMessageBatch", QueueUrl=url, Entries=list(left.values()))
            except Unavailable:
                if outcomes:
                    return outcomes
                raise
            outcomes |= {int(entry["Id"]): True for entry in answer.get("Successful", ())}
            failed = {entry["Id"]: entry for entry in answer.get("Failed", ())}
            hopeless = {name: entry for name, entry in failed.items() if entry.get("Code") in _HOPELESS}
            outcomes |= {int(n): Refused(f"{e['Code']}: {e.get('Message', '')}") for n, e in hopeless.items()}
            left = {name: entry for name, entry in left.items() if name in failed and name not in hopeless}
            if not left:
                break
            await backoff(attempt)
        return outcomes


def entry_of_batch(name: str, record: Record, *, fifo: bool) -> dict[str, Any]:
    """Return a record as SendMessageBatch takes it; `name` is unique within the batch."""
    # The key comes first: SQS takes ten attributes, and a consumer can do without the last headers.
    headers = [(KEY_ATTRIBUTE, record.key), *record.headers][:_MAX_ATTRIBUTES]
    entry: dict[str, Any] = {
        "Id": name,
        "MessageBody": record.payload.decode(),
        "MessageAttributes": {name: {"DataType": "String", "StringValue": value} for name, value in headers if value},
    }
    if fifo:
        suits = _GROUP.fullmatch(record.key)
        entry["MessageGroupId"] = record.key if suits else sha256(record.key.encode()).hexdigest()
        entry["MessageDeduplicationId"] = sending_of(record) or sha256(record.payload).hexdigest()
    return entry


def _batches(messages: Sequence[_Message]) -> list[list[_Message]]:
    """Cut into batches of at most ten messages and 256 KiB."""
    batches: list[list[_Message]] = []
    size = 0
    for message in messages:
        if not batches or len(batches[-1]) == BATCH or size + message.size > _BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(message)
        size += message.size
    return batches


def _waves(messages: Sequence[_Message]) -> list[list[_Message]]:
    """Cut into rounds that hold each key once, in order."""
    waves: list[list[_Message]] = []
    seen: dict[tuple[str, str], int] = {}
    for message in messages:
        number = seen.get(message.stream, 0)
        seen[message.stream] = number + 1
        if number == len(waves):
            waves.append([])
        waves[number].append(message)
    return waves


def _merge(answers: Sequence[_Outcomes | BaseException]) -> _Outcomes:
    """Join what became of the records; raise the first outage if nothing did."""
    outcomes: _Outcomes = {}
    for answer in answers:
        if isinstance(answer, dict):
            outcomes |= answer
    outages = [answer for answer in answers if isinstance(answer, BaseException)]
    if outages and not outcomes:
        raise outages[0]
    return outcomes


def _in_order(records: Sequence[Record], outcomes: _Outcomes) -> list[bool | Refused]:
    """Acknowledge per channel and key only up to the first that failed."""
    failed: set[tuple[str, str]] = set()
    done: list[bool | Refused] = []
    for place, record in enumerate(records):
        stream = (record.channel, record.key)
        outcome = False if stream in failed else outcomes.get(place, False)
        if not outcome:
            failed.add(stream)
        done.append(outcome)
    return done
