"""DynamoDB out of reach, or its answer lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from corelib.aws.clients import Aws
from corelib.clock import ManualClock, SystemClock
from corelib.dynamo.store import Dynamo
from corelib.errors import Unavailable
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Event
from corelib.relay.relay import Relay
from corelib.testing.running import parts_running
from corelib.transaction import Mark, Origin
from dynamo.shop import CARTS, Open, Placed, numbers, read, reader


@asynccontextmanager
async def losing_answers(endpoint: str, operation: bytes) -> AsyncIterator[tuple[str, list[int]]]:
    """A proxy that passes requests on, but drops the answer to the first call of one operation."""
    host, port = endpoint.removeprefix("http://").split(":")
    lost: list[int] = []

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, state: dict[str, bool]) -> None:
        while data := await source.read(65536):
            if not lost and operation in data:
                state["drop"] = True
            target.write(data)
            await target.drain()

    async def serve(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_connection(host, int(port))
        state = {"drop": False}
        requests = asyncio.create_task(pump(near, forth, state))
        try:
            while data := await far.read(65536):
                if state["drop"] and not lost:
                    lost.append(len(data))
                    return
                back.write(data)
                await back.drain()
        finally:
            requests.cancel()
            forth.close()
            back.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", lost


async def test_a_commit_whose_answer_was_lost_is_not_doubled(open_store: Open, aws_endpoint: str) -> None:
    store = await open_store()
    async with losing_answers(aws_endpoint, b"TransactWriteItems") as (endpoint, lost):
        through = await open_store(endpoint)
        async with through.transaction(mark=Mark("h", "1")) as tx:
            tx.put(CARTS, {"user_id": "u-1", "version": 1}, new=True)
            tx.publish(Placed(order_id="o-1", number=1))
        assert lost
    assert numbers(await read(await reader(store))) == [1]


async def test_an_unreachable_database_is_unavailable() -> None:
    aws = Aws(endpoint_url="http://127.0.0.1:9", access_key_id="test", secret_access_key="test")
    store = Dynamo("shop", aws)
    with pytest.raises(Unavailable):
        await store.open(Origin("shop", ManualClock(), frozenset()))


async def test_a_database_without_tables_is_unavailable(aws_endpoint: str) -> None:
    prefix = f"t{uuid4().hex[:10]}-"
    store = Dynamo("shop", Aws(endpoint_url=aws_endpoint, prefix=prefix))
    with pytest.raises(Unavailable):
        await store.open(Origin("shop", ManualClock(), frozenset()))


HERE, MISSING = Channel("here", partitions=1), Channel("missing", partitions=1)


class Said(Event, type="test.said.v1", channels=(HERE,), key="name"):
    name: str
    number: int


class Whispered(Event, type="test.whispered.v1", channels=(MISSING,), key="name"):
    name: str
    number: int


async def test_a_topic_that_is_missing_holds_up_no_other(
    aws_endpoint: str, kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corelib.kafka.broker._METADATA_SECONDS", 0.2)
    prefix = f"t{uuid4().hex[:10]}-"
    store, kafka = Dynamo("shop", Aws(endpoint_url=aws_endpoint, prefix=prefix)), Kafka(kafka_bootstrap, prefix=prefix)
    await kafka.provision([HERE])
    await kafka.open()
    await store.provision()
    await store.open(Origin("shop", SystemClock(), frozenset({Said, Whispered})))

    async def publish(number: int) -> None:
        async with store.transaction() as tx:
            tx.publish(Said(name="a", number=number))
            tx.publish(Whispered(name="a", number=number))

    outbox = store.outbox("kafka", frozenset({HERE.name, MISSING.name}))
    subscription = kafka.subscribe("test", [HERE])
    await subscription.open()
    deliveries = subscription.deliveries()
    async with parts_running(Relay("kafka", outbox, kafka, store.committed(), store.parking)):
        for number in range(3):
            await publish(number)
            said = (await asyncio.wait_for(anext(deliveries), 60)).record
            assert Said.model_validate_json(said.payload).number == number
        await kafka.provision([MISSING])
        late = kafka.subscribe("test", [MISSING])
        await late.open()
        waited = late.deliveries()
        whispered = [(await asyncio.wait_for(anext(waited), 60)).record for _ in range(3)]
        assert [Whispered.model_validate_json(each.payload).number for each in whispered] == [0, 1, 2]
    for part in (subscription, late, kafka, store):
        await part.close()
