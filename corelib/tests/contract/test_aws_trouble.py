"""A role, credential or key that AWS does not accept: that is `Unavailable` in plain words, and parks no event."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from corelib.actor import Actor, receive
from corelib.aws.clients import Aws
from corelib.aws.trouble import reaching, refusal_of
from corelib.clock import SystemClock
from corelib.config import ServiceSettings
from corelib.consumer.consumer import Consumer
from corelib.documents import Table
from corelib.dynamo.store import Dynamo
from corelib.dynamo.transaction import DynamoTransaction
from corelib.errors import Unavailable
from corelib.ids import uuid7
from corelib.memory.broker import MemoryBroker
from corelib.message import Channel, Envelope, Event, Record
from corelib.service import Service
from corelib.testing.running import free_port, parts_running, until
from corelib.transaction import Origin
from devstack.gate import Gate

CHANNEL = Channel("coded")
CODES = Table("codes", "code")
TROUBLE = {
    "AccessDeniedException": "the role lacks a right",
    "UnrecognizedClientException": "is not known there",
    "ExpiredTokenException": "have expired",
    "InvalidSignatureException": "its signature is not accepted",
    "MissingAuthenticationTokenException": "came without credentials",
    "KMSAccessDeniedException": "the KMS key",
    "KMSDisabledException": "the KMS key",
    "KMSInvalidStateException": "the KMS key",
    "KMSNotFoundException": "the KMS key",
    "OptInRequired": "may not use this service",
    "ThrottlingException": "ThrottlingException",
}
THE_EVENTS = ("ValidationException", "ItemCollectionSizeLimitExceededException")


class Coded(Event, type="test.coded.v1", channels=(CHANNEL,), key="code"):
    code: str


@dataclass(frozen=True)
class Writer(Actor):
    @receive
    async def coded(self, event: Coded, tx: DynamoTransaction) -> None:
        tx.put(CODES, {"code": event.code})


@dataclass
class Refusing:
    """Refuses each transaction with the code that it writes, as often as three calls would bear, and twice again."""

    refused: Counter[str] = field(default_factory=Counter)

    def __call__(self, operation: str, body: bytes) -> str | None:
        if operation != "TransactWriteItems" or f'-{CODES.name}"'.encode() not in body:
            return None  # what parks the event shall pass
        for code in (*TROUBLE, *THE_EVENTS):
            if f'"{code}"'.encode() in body and self.refused[code] < 6:
                self.refused[code] += 1
                return code
        return None


@pytest_asyncio.fixture
async def gate(aws_endpoint: str) -> AsyncIterator[Gate]:
    async with Gate(aws_endpoint) as gate:
        yield gate


@pytest_asyncio.fixture
async def store(gate: Gate) -> AsyncIterator[Dynamo]:
    store = Dynamo("coder", Aws(endpoint_url=gate.address, prefix=f"t{uuid4().hex[:8]}-"), tables=[CODES])
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset({Coded})))
    yield store
    await store.close()


def record(code: str) -> Record:
    envelope = Envelope(uuid7(), Coded.type, "test", SystemClock().now(), code)
    return envelope.record(CHANNEL.name, Coded(code=code).model_dump_json().encode())


async def test_a_refusal_for_want_of_a_right_parks_nothing(store: Dynamo, gate: Gate) -> None:
    refusing, broker = Refusing(), MemoryBroker()
    gate.refuse = refusing
    routes = [replace(route, attempts=1) for route in Writer().routes()]
    await broker.send([record(code) for code in (*TROUBLE, *THE_EVENTS)])

    async def settled() -> bool:
        written = {item["code"] async for item in store.scan(CODES)}
        return written | {key for _, key in await store.parking.keys()} == {*TROUBLE, *THE_EVENTS}

    async with parts_running(Consumer(lambda: broker.subscribe("test", [CHANNEL]), routes, store)):
        await until(settled)
    assert {key for _, key in await store.parking.keys()} == set(THE_EVENTS)
    assert {refusing.refused[code] for code in TROUBLE} == {6}


@pytest.mark.parametrize(("code", "words"), TROUBLE.items())
async def test_what_is_amiss_is_said(store: Dynamo, gate: Gate, code: str, words: str) -> None:
    gate.refuse_all(code, "TransactWriteItems")
    with pytest.raises(Unavailable, match=words):
        async with store.transaction() as tx:
            tx.publish(Coded(code="k"))
    gate.refuse_all(code, "GetItem")
    with pytest.raises(Unavailable, match=words):
        await store.check()


async def test_a_refused_write_is_told_by_the_check_until_one_is_done(store: Dynamo, gate: Gate) -> None:
    async def write() -> None:
        async with store.transaction() as tx:
            tx.publish(Coded(code="k"))

    gate.refuse_all("AccessDeniedException", "TransactWriteItems")
    with pytest.raises(Unavailable):
        await write()
    with pytest.raises(Unavailable, match=r"the role lacks a right.*TransactWriteItems"):
        await store.check()
    gate.open()
    await write()
    await store.check()


async def test_an_answer_tells_that_the_right_is_there_whatever_it_is(store: Dynamo, gate: Gate) -> None:
    gate.refuse_all("AccessDeniedException", "CreateTable")
    with pytest.raises(Unavailable):
        await store.provision()
    gate.open()
    await store.provision()  # answered by "it exists"
    await store.check()


@pytest.mark.parametrize("provision", [True, False])
@pytest.mark.parametrize("code", ["AccessDeniedException", "UnrecognizedClientException"])
async def test_a_service_without_rights_waits_for_them_at_its_start(gate: Gate, code: str, *, provision: bool) -> None:
    aws = Aws(endpoint_url=gate.address, prefix=f"t{uuid4().hex[:8]}-")
    await Dynamo("coder", aws).provision()
    settings = ServiceSettings(port=free_port(), log_format="text", provision=provision)
    service = Service("coder", settings, store=Dynamo("coder", aws))
    gate.refuse_all(code)
    stop = asyncio.Event()
    serving = asyncio.create_task(service.serve(stop))
    await until(lambda: bool(service.health.waiting_for))
    assert not serving.done()
    assert f"({code})" in service.health.waiting_for
    gate.open()
    await until(lambda: service.health.started)
    stop.set()
    await serving
    await aws.close()


def refusal(code: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "Operation")


@pytest.mark.parametrize(
    "code",
    ["AccessDenied", "KmsAccessDenied", "KmsDisabled", "KMS.DisabledException", "InvalidClientTokenId", "ExpiredToken"],
)
def test_sqs_and_s3_have_names_of_their_own(code: str) -> None:
    with pytest.raises(Unavailable), reaching("sqs"):
        raise refusal(code)


def test_what_is_forbidden_is_a_right_whatever_its_name() -> None:
    assert refusal_of(refusal("403", 403)) == refusal_of(refusal("AccessDenied"))
    assert refusal_of(refusal("ConditionalCheckFailedException")) is None
