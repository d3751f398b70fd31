"""`make bench-dynamo`: how fast a DynamoDB outbox reaches Kafka and SQS, beside the bare calls that this takes.

The limit is the emulator: one core of Python. A drain needs a query for each page of the index, a BatchWriteItem for
each 25 acknowledgements, and to SQS a SendMessageBatch for each ten records. The bare contenders make those same calls,
their bytes ready beforehand, each shard's one after another and all shards at once, as fast as they are answered.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import aiohttp
import orjson
import uvloop

from bench.frame import Aim, Bench, Figure, kafka_and_aws
from bench.shop import SOLD, Sold, sold
from corelib.aws.clients import Aws
from corelib.aws.signing import Signer
from corelib.aws.wire import DYNAMODB, SQS, Protocol
from corelib.broker import Publisher
from corelib.clock import SystemClock
from corelib.dynamo.client import MAX_BATCH_WRITE, Client
from corelib.dynamo.items import Attribute
from corelib.dynamo.layout import SHARDS, Entry, acknowledged_item, due_query, microseconds, out_partition, pending_item
from corelib.dynamo.outbox import KEEP
from corelib.dynamo.store import Dynamo
from corelib.ids import uuid7
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Envelope, Transport
from corelib.metrics import AWS_CALLS, RELAYED
from corelib.relay.relay import Relay
from corelib.sqs.broker import Sqs, entry_of_batch
from corelib.sqs.queues import BATCH, Queues
from corelib.transaction import Origin

TO_KAFKA, TO_SQS = "corelib to Kafka", "corelib to SQS"
BARE_KAFKA, BARE_SQS = "bare calls, without SQS", "bare calls, with SQS"
_QUEUE = Channel("sold-queue", Transport.SQS)
_KEYS = 1_000
_PAGE = 250
_ATTEMPTS = 3
_TABLE = "bench-messaging"


async def run(bench: Bench) -> Figure:
    """Drain the same entries four ways, in turn."""
    events, rounds = (4_000, 1) if bench.quick else (10_000, 3)
    async with kafka_and_aws(bench) as (bootstrap, endpoint):
        drains = Drains(bootstrap, endpoint, events)
        contenders = {
            TO_KAFKA: lambda: drains.ours(TO_KAFKA, SOLD),
            BARE_KAFKA: lambda: drains.bare(SOLD),
            TO_SQS: lambda: drains.ours(TO_SQS, _QUEUE),
            BARE_SQS: lambda: drains.bare(_QUEUE),
        }
        samples = await bench.interleaved(contenders, rounds=rounds, unit="records/s")
    return Figure(
        title=f"Drain {events:,} records of 256 bytes from DynamoDB (emulated)",
        unit="records/s",
        ours={name: samples[name] for name in (TO_KAFKA, TO_SQS)},
        limit={name: samples[name] for name in (BARE_KAFKA, BARE_SQS)},
        aims=[Aim(TO_KAFKA, over=BARE_KAFKA, at_least=0.7), Aim(TO_SQS, over=BARE_SQS, at_least=0.7)],
        notes={"calls_per_record": drains.calls},
    )


@dataclass
class Drains:
    """Fills an outbox, has it drained, and tells how many records a second that were."""

    bootstrap: str
    endpoint: str
    events: int
    calls: dict[str, float] = field(default_factory=dict)
    _numbers: Any = field(default_factory=count)

    async def ours(self, name: str, channel: Channel) -> float:
        """Drain with a relay."""
        return await asyncio.to_thread(uvloop.run, self._ours(name, channel))

    async def bare(self, channel: Channel) -> float:
        """Make the calls of a drain, and nothing else."""
        return await asyncio.to_thread(uvloop.run, self._bare(channel))

    async def _ours(self, name: str, channel: Channel) -> float:
        async with self._filled(channel) as (store, _):
            to_kafka = channel.transport is Transport.KAFKA
            publisher: Publisher = Kafka(self.bootstrap, prefix=store.aws.prefix) if to_kafka else Sqs(store.aws)
            await publisher.provision([channel])
            await publisher.open()
            outbox = store.outbox(channel.transport, frozenset({channel.name}))
            relay = Relay(channel.transport, outbox, publisher, store.committed(), store.parking)
            relayed, stop = RELAYED.labels(channel.transport, channel.name), asyncio.Event()
            goal, calls, began = _value(relayed) + self.events, _calls(), time.perf_counter()
            running = asyncio.create_task(relay.run(stop))
            while _value(relayed) < goal:  # noqa: ASYNC110 -- a counter has no event
                await asyncio.sleep(0.01)
            spent = time.perf_counter() - began
            self.calls[name] = round((_calls() - calls) / self.events, 4)
            stop.set()
            await running
            await publisher.close()
        return self.events / spent

    async def _bare(self, channel: Channel) -> float:
        async with self._filled(channel) as (store, entries), aiohttp.ClientSession() as session:
            url = ""
            if channel.transport is Transport.SQS:
                queues = Queues(store.aws)
                await queues.provision(channel)
                url = await queues.url(channel.name)
            bare = Bare(session, self.endpoint, store.aws, await store.aws.credentials())
            shards = [
                list(_pages(bare, [entry for entry in entries if entry.shard == shard], url)) for shard in range(SHARDS)
            ]
            began = time.perf_counter()
            await asyncio.gather(*(_drain(bare, pages) for pages in shards))
            spent = time.perf_counter() - began
        return self.events / spent

    @asynccontextmanager
    async def _filled(self, channel: Channel) -> AsyncIterator[tuple[Dynamo, list[Entry]]]:
        prefix = f"b{next(self._numbers)}-"
        aws = Aws(endpoint_url=self.endpoint, prefix=prefix, access_key_id="nobody", secret_access_key="nothing")  # noqa: S106 -- an emulator asks for some
        store = Dynamo("bench", aws, streams=False)
        await store.provision()
        await store.open(Origin("souk/bench", SystemClock(), frozenset({Sold})))
        entries = list(_entries(channel, self.events))
        client, table = Client(store.aws), f"{store.aws.prefix}{_TABLE}"
        puts = [{"PutRequest": {"Item": pending_item(entry)}} for entry in entries]
        for at in range(0, len(puts), 1_000):
            await client.write_all(table, puts[at : at + 1_000])
        try:
            yield store, entries
        finally:
            await client.call("DeleteTable", TableName=table)
            await store.close()


@dataclass(frozen=True)
class Call:
    """A request whose bytes are ready."""

    body: bytes
    headers: Any


class Bare:
    """Makes calls ready, and posts them without a look at the answer."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: str, aws: Aws, credentials: Any) -> None:
        self.table = f"{aws.prefix}{_TABLE}"
        self._session = session
        self._url = f"{endpoint.rstrip('/')}/"
        self._region = aws.region
        self._credentials = credentials

    def call(self, protocol: Protocol, operation: str, **params: Any) -> Call:
        """Return a call, signed."""
        body = orjson.dumps(params)
        signer = Signer(self._url, self._region, service=protocol.signed_as, target=protocol.target)
        return Call(body, signer.headers(operation, body, self._credentials, datetime.now(UTC)))

    async def post(self, call: Call) -> None:
        """Post it, again where the server just closed the connection for idleness."""
        for attempt in range(_ATTEMPTS):
            try:
                async with self._session.post(self._url, data=call.body, headers=call.headers) as response:
                    await response.read()
                    response.raise_for_status()
                    return
            except aiohttp.ClientConnectionError:
                if attempt + 1 == _ATTEMPTS:
                    raise


@dataclass(frozen=True)
class _Page:
    query: Call
    sends: Sequence[Call]
    writes: Sequence[Call]


async def _drain(bare: Bare, pages: Sequence[_Page]) -> None:
    for page in pages:
        await bare.post(page.query)
        await asyncio.gather(*(bare.post(call) for call in page.sends))
        await asyncio.gather(*(bare.post(call) for call in page.writes))


def _pages(bare: Bare, entries: Sequence[Entry], url: str) -> Iterator[_Page]:
    expires = SystemClock().now() + KEEP
    start: dict[str, Attribute] = {}
    for at in range(0, len(entries), _PAGE):
        page = entries[at : at + _PAGE]
        partition = out_partition(page[0].record.channel, page[0].shard)
        query = bare.call(DYNAMODB, "Query", **due_query(bare.table, partition, Limit=_PAGE), **start)
        start = {"ExclusiveStartKey": {name: pending_item(page[-1])[name] for name in ("pk", "sk", "shard", "due")}}
        puts = [{"PutRequest": {"Item": acknowledged_item(entry, expires)}} for entry in page]
        writes = [
            bare.call(DYNAMODB, "BatchWriteItem", RequestItems={bare.table: chunk})
            for chunk in _cut(puts, MAX_BATCH_WRITE)
        ]
        messages = [entry_of_batch(str(number), entry.record, fifo=False) for number, entry in enumerate(page)]
        sends = [bare.call(SQS, "SendMessageBatch", QueueUrl=url, Entries=chunk) for chunk in _cut(messages, BATCH)]
        yield _Page(query, sends if url else [], writes)


def _entries(channel: Channel, events: int) -> Iterator[Entry]:
    now = SystemClock().now()
    for number in range(events):
        key = f"order-{number % _KEYS:05}"
        payload = sold(key, number).model_dump_json().encode()
        record = Envelope(uuid7(), Sold.type, "souk/bench", now, key).record(channel.name, payload)
        yield Entry(record, number // _KEYS, microseconds(now) + number, "bench")


def _cut(things: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [things[at : at + size] for at in range(0, len(things), size)]


def _value(counter: Any) -> float:
    return float(counter._value.get())  # noqa: SLF001 -- the client has no other way to read one


def _calls() -> float:
    return sum(
        sample.value for metric in AWS_CALLS.collect() for sample in metric.samples if sample.name.endswith("_total")
    )
