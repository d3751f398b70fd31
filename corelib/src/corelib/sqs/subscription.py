"""Takes from SQS: long polls, holds what is in hand out of others' sight, deletes what is done.

A FIFO queue gives nothing more of a key while something of it is in hand, so order per key holds across replicas. A
standard queue keeps no order. Whatever is not deleted in time comes again, and marks make that harmless.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import structlog
from botocore.exceptions import ClientError

from corelib.aws.clients import backoff
from corelib.broker import Assigned, Delivery
from corelib.errors import Unavailable
from corelib.message import KEY_ATTRIBUTE, Record
from corelib.metrics import REDELIVERED
from corelib.part import rest
from corelib.sqs.queues import BATCH, Queues

_VISIBLE_SECONDS = 30
_EXTEND_SECONDS = 10.0
# Short enough to stop in time: no poll is cut off, as it may take messages along that nobody gets for a while.
POLL_SECONDS = 2
_CLOSE_SECONDS = 5.0  # an SQS that is away, and not even refuses, must not keep a stop from its end
_MOST_BACKOFFS = 8

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Held:
    """A message in hand: which one, the receipt that this hand was given for it, and on a FIFO queue its group."""

    url: str
    message_id: str
    receipt: str
    group: str | None


class SqsSubscription:
    """Yields messages of some queues as records. A message is in hand from its receipt until it is `done`.

    Who takes from `deliveries` bounds what is in hand: beyond that a batch waits to be taken, and one of each queue.
    """

    sticky = False

    def __init__(
        self,
        queues: Queues,
        channels: Sequence[str],
        *,
        visible_seconds: int = _VISIBLE_SECONDS,
        extend_seconds: float = _EXTEND_SECONDS,
        poll_seconds: int = POLL_SECONDS,
    ) -> None:
        self._queues = queues
        self._channels = channels
        self._visible_seconds = visible_seconds
        self._extend_seconds = extend_seconds
        self._poll_seconds = poll_seconds
        self._urls: dict[str, str] = {}
        self._in_hand: set[_Held] = set()
        self._finished: list[_Held] = []
        self._work = asyncio.Event()
        self._stopping = asyncio.Event()
        self._taken: asyncio.Queue[Delivery | BaseException | None] = asyncio.Queue(BATCH)
        self._tasks: list[asyncio.Task[None]] = []
        self._polling = 0
        self._waiting: dict[str, int] = {}

    async def open(self, _: Assigned | None = None) -> None:
        """Find the queues and begin to take from them. Raises `Unavailable`."""
        await self._queues.open()
        try:
            found = [channel for channel in self._channels if await self._there(channel)]
            if self._channels and not found:
                await self._queues.url(self._channels[0])  # says so
        except Unavailable:
            await self._queues.close()
            raise
        self._tasks = [asyncio.create_task(self._extend()), asyncio.create_task(self._delete())]
        self._tasks += [asyncio.create_task(self._take(channel)) for channel in self._channels]
        self._polling = len(self._channels)

    async def close(self) -> None:
        """Delete what is finished, and give back at once what is not."""
        self.stop_taking()
        try:
            await self._end_polls()
        finally:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Without an answer in time it comes again when its own time is over.
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._delete_finished()
                await self._show_in(0)
        await self._queues.close()

    def stop_taking(self) -> None:
        """End `deliveries` once what was received is yielded; what was yielded can still be said `done`."""
        self._stopping.set()

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """Yield records, of a FIFO queue per key in order; stops when closed. Raises `Unavailable`."""
        while self._polling:
            taken = await self._taken.get()
            if isinstance(taken, Delivery):
                yield taken
                continue
            self._polling -= 1
            if taken is not None:
                raise taken

    def begin(self, delivery: Delivery) -> bool:
        """Say that work on a delivery begins, or goes on; False once it is in somebody else's hand."""
        return delivery.position in self._in_hand

    async def done(self, delivery: Delivery) -> None:
        """Say that a delivery is handled or parked: it is deleted soon, together with others."""
        held = cast("_Held", delivery.position)
        self._in_hand.discard(held)
        self._finished.append(held)
        self._work.set()

    async def lag(self) -> dict[str, int]:
        """Return how many records wait, by channel; what was last known where SQS does not answer."""
        for channel, url in tuple(self._urls.items()):
            with contextlib.suppress(Unavailable, ClientError):
                answer = await self._queues.call(
                    "GetQueueAttributes", QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
                )
                self._waiting[channel] = int(answer["Attributes"]["ApproximateNumberOfMessages"])
        return dict(self._waiting)

    async def _take(self, channel: str) -> None:
        try:
            while not self._stopping.is_set():
                if not await self._there(channel):
                    await rest(self._stopping, self._poll_seconds)
                    continue
                for message in await self._receive(self._urls[channel]):
                    await self._taken.put(self._delivery(channel, message))
        except Exception as error:  # noqa: BLE001 -- raised by `deliveries`, where the consumer hears it
            await self._taken.put(error)
        else:
            await self._taken.put(None)

    async def _there(self, channel: str) -> bool:
        """Tell whether a queue exists: one that does not keeps nobody from the others."""
        name = await self._queues.missing(channel)
        if name is None:
            self._urls[channel] = await self._queues.url(channel)
            self._queues.absent.discard(f"{self._queues.aws.prefix}{channel}")
            return True
        if name not in self._queues.absent:
            log.error("a queue does not exist, others are taken from", queue=name)
        self._queues.absent.add(name)
        return False

    async def _end_polls(self) -> None:
        """Let polls end; what they still receive is in hand, and given back with the rest."""
        with contextlib.suppress(Exception):  # of a poll: nobody wants more from it
            async with asyncio.timeout(self._poll_seconds + _CLOSE_SECONDS):
                async for _ in self.deliveries():
                    pass

    async def _receive(self, url: str) -> list[dict[str, Any]]:
        try:
            answer = await self._queues.call(
                "ReceiveMessage",
                patience_seconds=self._poll_seconds,
                QueueUrl=url,
                MaxNumberOfMessages=BATCH,
                VisibilityTimeout=self._visible_seconds,
                WaitTimeSeconds=self._poll_seconds,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["ApproximateReceiveCount", "MessageGroupId"],
            )
        except ClientError as error:
            if self._queues.forget(url, error):
                return []
            raise Unavailable("sqs", f"cannot take from {url}: {error}") from error
        messages: list[dict[str, Any]] = answer.get("Messages") or []
        # In hand from now on, yielded or not: its time runs.
        self._in_hand |= {_held(url, message) for message in messages}
        return messages

    def _delivery(self, channel: str, message: dict[str, Any]) -> Delivery:
        if int(message.get("Attributes", {}).get("ApproximateReceiveCount", "1")) > 1:
            REDELIVERED.labels(channel).inc()
        return Delivery(_record(channel, message), _held(self._urls[channel], message))

    async def _extend(self) -> None:
        """Keep what is in hand out of others' sight for as long as this process lives."""
        while True:
            await asyncio.sleep(self._extend_seconds)
            try:
                await self._show_in(self._visible_seconds)
            except Unavailable as error:
                log.warning("messages in hand may be delivered to others too", reason=str(error))

    async def _show_in(self, seconds: int) -> None:
        """Let what is in hand be seen again after so many seconds."""
        for url, held in _by_queue(self._in_hand):
            entries = [
                {"Id": str(number), "ReceiptHandle": each.receipt, "VisibilityTimeout": seconds}
                for number, each in enumerate(held)
            ]
            answer = await self._call_batch("ChangeMessageVisibilityBatch", url, entries)
            for failed in answer.get("Failed") or ():
                self._not_shown(held[int(failed["Id"])], failed)

    def _not_shown(self, held: _Held, failed: dict[str, Any]) -> None:
        if held not in self._in_hand:
            return  # handled meanwhile, and maybe deleted
        if not failed.get("SenderFault", True):
            # Trouble of SQS, and still ours: it is tried again at the next round.
            log.warning("a message in hand may be delivered to others too", queue=held.url, reason=failed.get("Code"))
            return
        log.warning("a message in hand is no longer ours", queue=held.url, reason=failed.get("Code"))
        self._in_hand.discard(held)
        if held.group is not None:
            # It comes again, and what is behind it in its group must not be handled before: all of it comes again.
            self._in_hand -= {each for each in self._in_hand if (each.url, each.group) == (held.url, held.group)}

    async def _delete(self) -> None:
        """Delete what is done: at once where little is, in tens where much is, as one call follows the other."""
        attempt = 0
        while True:
            await self._work.wait()
            try:
                await self._delete_finished()
                attempt = 0
            except Unavailable as error:
                log.warning("finished messages not yet deleted", count=len(self._finished), reason=str(error))
                self._work.set()
                attempt = min(attempt + 1, _MOST_BACKOFFS)
                await backoff(attempt)

    async def _delete_finished(self) -> None:
        self._work.clear()
        finished = tuple(self._finished)
        calls = []
        for url, held in _by_queue(finished):
            entries = [{"Id": str(number), "ReceiptHandle": each.receipt} for number, each in enumerate(held)]
            calls.append(self._call_batch("DeleteMessageBatch", url, entries))
        # One that fails in a batch was delivered to somebody else meanwhile: he deletes it.
        await asyncio.gather(*calls)
        # Only now: a stop in between deletes them again, which harms nothing.
        del self._finished[: len(finished)]

    async def _call_batch(self, operation: str, url: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
        try:
            return await self._queues.call(operation, QueueUrl=url, Entries=entries)
        except ClientError as error:
            raise Unavailable("sqs", f"{operation} on {url}: {error}") from error


def _held(url: str, message: dict[str, Any]) -> _Held:
    group = (message.get("Attributes") or {}).get("MessageGroupId")
    return _Held(url, message["MessageId"], message["ReceiptHandle"], group)


def _record(channel: str, message: dict[str, Any]) -> Record:
    """Return a message as a record; what is no event of ours is found out by whoever reads its headers."""
    attributes = message.get("MessageAttributes") or {}
    values = {name: str(typed["StringValue"]) for name, typed in attributes.items() if "StringValue" in typed}
    key = values.pop(KEY_ATTRIBUTE, None) or message.get("Attributes", {}).get("MessageGroupId") or message["MessageId"]
    return Record(channel, key, tuple(values.items()), message["Body"].encode())


def _by_queue(held: Iterable[_Held]) -> list[tuple[str, list[_Held]]]:
    """Return what is held as batches of one queue each."""
    queues: dict[str, list[_Held]] = {}
    for each in held:
        queues.setdefault(each.url, []).append(each)
    return [(url, each[at : at + BATCH]) for url, each in queues.items() for at in range(0, len(each), BATCH)]
