"""Follows a table's stream (DynamoDB Streams), so that the relay soon hears what other replicas committed.

It is for latency alone. It begins at the stream's end, and whenever it must begin anew (trimmed, expired, throttled,
unreachable, switched off) the outboxes are told to sweep; so nothing is ever read twice to find a place again. AWS lets
two processes read a stream; a third is throttled, keeps away for a while, and sweeps more often.
"""

import asyncio
import random
from typing import Any

import structlog
from botocore.exceptions import ClientError

from corelib.aws.clients import Aws
from corelib.aws.trouble import reaching
from corelib.aws.wire import STREAMS, wire
from corelib.dynamo.client import Client
from corelib.dynamo.items import Attribute
from corelib.dynamo.listeners import Listeners
from corelib.errors import Unavailable
from corelib.metrics import STREAM_BREAKS
from corelib.part import rest

# Others' entries come in runs: after the first of them the next is soon looked for.
_SHORTEST_POLL, _LONGEST_POLL = 0.2, 1.0
_SHARDS_SECONDS = 10.0
_MUCH = 200
_STANDBY_SECONDS = 1.0
_WITHOUT_SECONDS = 60.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0

log = structlog.get_logger(__name__)


class StreamTail:
    """A part that reads the stream's end while any outbox here has a share, and passes on what it finds."""

    name = "dynamodb-stream"

    def __init__(self, client: Client, table: str, listeners: Listeners) -> None:
        self._client = client
        self._table = table
        self._listeners = listeners

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until told to stop. Raises nothing that waiting can mend."""
        pause = _SHORTEST_PAUSE
        while not stop.is_set():
            if not self._listeners.relaying:
                await rest(stop, _STANDBY_SECONDS)
                continue
            try:
                stream = Stream(self._client.aws, await self._arn())
                await stream.begin()
                pause = _SHORTEST_PAUSE
                await self._follow(stream, stop)
            except _NoStreamError:
                await rest(stop, _WITHOUT_SECONDS)
            except (Unavailable, ClientError) as error:
                STREAM_BREAKS.inc()
                log.warning(
                    "the table's stream is not followed, sweeping instead", table=self._table, reason=str(error)
                )
                self._listeners.following(whole=False)
                await rest(stop, random.uniform(pause / 2, pause))  # noqa: S311 -- jitter, not cryptography
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _follow(self, stream: "Stream", stop: asyncio.Event) -> None:
        self._listeners.following(whole=True)
        poll = _SHORTEST_POLL
        try:
            while self._listeners.relaying and not stop.is_set():
                news = self._listeners.streamed(await stream.items())
                poll = _SHORTEST_POLL if news else min(poll * 2, _LONGEST_POLL)
                if not stream.behind:
                    await rest(stop, poll)
        finally:
            self._listeners.following(whole=False)

    async def _arn(self) -> str:
        table = (await self._client.call("DescribeTable", TableName=self._table))["Table"]
        if not table.get("StreamSpecification", {}).get("StreamEnabled"):
            raise _NoStreamError
        arn: str = table["LatestStreamArn"]
        return arn


class Stream:
    """The shards of a stream that are read, each with the place where it goes on."""

    def __init__(self, aws: Aws, arn: str) -> None:
        self._aws = aws
        self._arn = arn
        self._iterators: dict[str, str] = {}
        self._known: set[str] = set()
        self._look_again = 0.0
        self.behind = False

    async def begin(self) -> None:
        """Begin at the end of every shard that still grows. Raises `Unavailable` or `ClientError`."""
        await self._look_for_shards("LATEST")

    async def items(self) -> list[Attribute]:
        """Return the items that are new since the last call. Raises `Unavailable` or `ClientError`."""
        if _now() >= self._look_again:
            # What begins while we watch is the child of what ended: none of it has been read.
            await self._look_for_shards("TRIM_HORIZON")
        pages = await asyncio.gather(*(self._next(shard) for shard in tuple(self._iterators)))
        self.behind = any(len(page) >= _MUCH for page in pages)
        return [image for page in pages for image in map(_new_image, page) if image is not None]

    async def _next(self, shard: str) -> list[dict[str, Any]]:
        answer = await self._call("GetRecords", ShardIterator=self._iterators[shard])
        following = answer.get("NextShardIterator")
        if following is None:
            del self._iterators[shard]
            self._look_again = 0.0
        else:
            self._iterators[shard] = following
        records: list[dict[str, Any]] = answer["Records"]
        return records

    async def _look_for_shards(self, place: str) -> None:
        for shard in await self._shards():
            name = shard["ShardId"]
            ended = "EndingSequenceNumber" in shard["SequenceNumberRange"]
            if name in self._known or (ended and place == "LATEST"):
                continue
            answer = await self._call("GetShardIterator", StreamArn=self._arn, ShardId=name, ShardIteratorType=place)
            self._iterators[name] = answer["ShardIterator"]
            self._known.add(name)
        if not self._iterators:
            raise Unavailable("dynamodb", f"the stream {self._arn} has ended")
        self._look_again = _now() + _SHARDS_SECONDS

    async def _shards(self) -> list[dict[str, Any]]:
        shards: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            answer = await self._call("DescribeStream", StreamArn=self._arn, **more)
            description = answer["StreamDescription"]
            shards += description["Shards"]
            if not (last := description.get("LastEvaluatedShardId")):
                return shards
            more = {"ExclusiveStartShardId": last}

    async def _call(self, operation: str, **params: Any) -> dict[str, Any]:
        with reaching("dynamodb"):
            return await (await wire(self._aws, STREAMS)).call(operation, params)


class _NoStreamError(Exception):
    """Raised when the table has no stream: then sweeps are all there is."""


def _new_image(record: dict[str, Any]) -> Attribute | None:
    """Return the item of a record that tells of a new one."""
    image: Attribute | None = record["dynamodb"].get("NewImage")
    return image if record["eventName"] == "INSERT" else None


def _now() -> float:
    return asyncio.get_running_loop().time()
