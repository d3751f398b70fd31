"""What a service on DynamoDB takes and cannot handle may be larger than an item: it is kept whole all the same."""

import asyncio
import sys
from base64 import b64decode
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from corelib.cli import frame
from corelib.cli.frame import opened
from corelib.cli.main import main
from corelib.cli.target import Target
from corelib.dynamo.items import Attribute
from corelib.dynamo.store import Dynamo
from corelib.message import MAX_BYTES, Envelope, Record, Transport
from corelib.store import Failure
from corelib.transaction import size_of

SERVICE = """
from pathlib import Path

from corelib.actor import Actor, receive
from corelib.config import ServiceSettings
from corelib.dynamo.store import Dynamo
from corelib.dynamo.transaction import DynamoTransaction
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Event
from corelib.service import Service


class Drawn(Event, type="test.drawn.v1", channels=(Channel("drawings", max_bytes=896_000),), key="name"):
    name: str
    picture: str


class Wall(Actor):
    @receive
    async def hang(self, event: Drawn, tx: DynamoTransaction) -> None:
        with Path("wall").open("a") as wall:
            wall.write(event.model_dump_json() + "\\n")


def build(settings: ServiceSettings) -> Service:
    store = Dynamo("wall", settings.aws())
    return Service("wall", settings, store=store, actors=[Wall()], brokers=[Kafka("127.0.0.1:1")])
"""
HANDLER = "Wall.hang"
_MOST_OF_AN_ITEM = 400 * 1024
T = TypeVar("T")


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws_endpoint: str) -> str:
    name = f"svc_{uuid4().hex[:8]}"
    (tmp_path / f"{name}.py").write_text(SERVICE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("CORELIB_APP", name)
    monkeypatch.setenv("SOUK_AWS_ENDPOINT_URL", aws_endpoint)
    monkeypatch.setenv("SOUK_AWS_PREFIX", f"{name}-")
    asyncio.run(Target(name).service().store.provision())
    return name


def drawn(letter: bytes) -> Record:
    """Return an event as large as may be declared."""
    envelope = Envelope(uuid4(), "test.drawn.v1", "test", datetime.now(UTC), "d-1")
    empty = envelope.record("drawings", b'{"name":"d-1","picture":""}')
    picture = letter * (MAX_BYTES[Transport.KAFKA] - size_of(empty))
    return empty._replace(payload=empty.payload[:-2] + picture + empty.payload[-2:])


def at(app: str, work: Callable[[Dynamo], Coroutine[Any, Any, T]]) -> T:
    service = Target(app).service()

    async def there() -> T:
        async with opened(service):
            assert isinstance(service.store, Dynamo)
            return await work(service.store)

    return asyncio.run(there())


def parked(app: str, first: Record, *behind: Record) -> None:
    async def park(store: Dynamo) -> None:
        await store.parking.park(HANDLER, first, Failure("ValueError: it broke"), attempts=8)
        assert await store.parking.append(HANDLER, *behind) == len(behind)

    at(app, park)


def kinds(app: str) -> list[str]:
    """Return what lies in the table, by kind; see that DynamoDB would take it, as the emulator takes any."""

    async def items(store: Dynamo) -> list[Attribute]:
        pages = store._client.pages("Scan", TableName=store._table, ConsistentRead=True)
        return [item async for page in pages for item in page["Items"]]

    found = at(app, items)
    assert max(map(item_bytes, found)) < _MOST_OF_AN_ITEM
    return sorted(item["pk"]["S"].split("#")[0] for item in found)


def item_bytes(item: Attribute) -> int:
    values = ((name, *typed.items()) for name, typed in item.items())
    return sum(len(name) + len(b64decode(value) if kind == "B" else value.encode()) for name, (kind, value) in values)


def handled() -> list[bytes]:
    return Path("wall").read_bytes().splitlines()


def test_the_largest_event_is_parked_shown_and_handled_whole(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    records = [drawn(b"a"), drawn(b"b")]
    parked(app, *records)
    assert set(kinds(app)) == {"park", "park-queue", "park-counter", "park-known"}
    assert main(["parked", "show", HANDLER, "d-1"]) == frame.OK
    said = capsys.readouterr().out
    assert all(f'"picture": "{letter * 890_000}' in said for letter in "ab")
    assert main(["parked", "retry", HANDLER, "d-1"]) == frame.OK
    assert handled() == [each.payload for each in records]
    assert kinds(app) == ["mark", "mark", "operation", "park-counter"]


def test_a_long_key_takes_its_room_of_an_item(app: str) -> None:
    key, body = "k" * 100_000, b"b" * 355_000
    record = Envelope(uuid4(), "test.drawn.v1", "test", datetime.now(UTC), key).record("drawings", body)
    parked(app, record, record._replace(payload=b"{}"))
    assert set(kinds(app)) == {"park", "park-queue", "park-counter", "park-known"}
    assert at(app, lambda store: store.parking.list(HANDLER, key))[0].record == record


def test_a_skipped_event_of_any_size_is_kept_with_the_audit(app: str) -> None:
    skipped, behind = drawn(b"\xff"), drawn(b"b")
    parked(app, skipped, behind)
    assert main(["parked", "skip", HANDLER, "d-1", "--reason", "a test"]) == frame.OK
    assert handled() == [behind.payload]
    assert set(kinds(app)) == {"mark", "operation", "park-counter", "part"}

    async def kept(store: Dynamo) -> object:
        (operation,) = await store.operations.list()
        assert operation == await store.operations.find(operation.id)
        return operation.progress["skipped"]["body"]

    assert at(app, kept) == skipped.payload.decode("utf-8", "backslashreplace")
