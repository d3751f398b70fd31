"""A service that runs by itself: what stands in for the others, and what is refused."""

import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from corelib.actor import Actor, receive
from corelib.api import Api, get
from corelib.auth import Authenticator, Caller
from corelib.clock import ManualClock
from corelib.config import ServiceSettings
from corelib.ids import uuid7
from corelib.main import main
from corelib.memory.alone import Alone
from corelib.memory.objects import MemoryObjects
from corelib.memory.store import Memory
from corelib.message import Channel, Envelope, Event, Record
from corelib.service import Service
from corelib.testing.alone import ask
from corelib.testing.issuer import Issuer
from corelib.testing.running import free_port, running, until
from corelib.transaction import Transaction


class Greeted(Event, type="test.greeted.v1", channels=(Channel("greetings"),), key="name"):
    name: str
    times: int = 1


class Answered(Event, type="test.answered.v1", channels=(Channel("answers"),), key="name"):
    name: str


class WhoApi(Api):
    @get("/who", roles=("admin",))
    async def who(self, caller: Caller) -> None:
        """Tell nothing."""


class Polite(Actor):
    @receive
    async def greeted(self, event: Greeted, tx: Transaction) -> None:
        tx.publish(Answered(name=event.name))


class World:
    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock()
        settings = {"port": free_port(), "in_memory": True} | settings
        self.settings = ServiceSettings(**settings)
        self.alone = Alone(self.settings, self.clock)
        self.bucket = self.alone.bucket("things")
        self.service = Service(
            "polite",
            self.settings,
            store=Memory(),
            apis=[WhoApi()],
            actors=[Polite()],
            publishes=[Answered],
            brokers=[self.alone.kafka],
            resources=[self.bucket, self.alone.keys],
            authenticator=Authenticator(self.alone.keys),
            clock=self.clock,
            alone=self.alone,
        )


@pytest.fixture
async def world() -> AsyncIterator[tuple[World, aiohttp.ClientSession]]:
    world = World()
    async with running(world.service) as url, aiohttp.ClientSession(url) as session:
        yield world, session


async def test_an_event_is_handed_in_and_what_follows_is_seen(world: tuple[World, aiohttp.ClientSession]) -> None:
    _, session = world
    assert (await ask(session, "POST /in-memory/events/test.greeted.v1", {"name": "ann"}))[0] == 202

    async def seen() -> list[tuple[str, Any]]:
        _, page = await ask(session, "GET /in-memory/events")
        events = [(event["channel"], event["data"]) for event in page["items"]]
        return events if len(events) > 1 else []

    await until(seen)
    assert await seen() == [("answers", {"name": "ann"}), ("greetings", {"name": "ann", "times": 1})]


@pytest.mark.parametrize(
    ("kind", "body", "status", "says"),
    [
        ("test.greeted.v1", {"name": "ann", "times": "often"}, 422, "/times"),
        ("test.greeted.v1", {}, 422, "/name"),
        ("test.answered.v1", {"name": "ann"}, 404, "but test.greeted.v1"),
    ],
)
async def test_an_event_that_nobody_could_handle_is_refused(
    world: tuple[World, aiohttp.ClientSession], kind: str, body: Any, status: int, says: str
) -> None:
    _, session = world
    got, problem = await ask(session, f"POST /in-memory/events/{kind}", body)
    assert (got, says in problem["detail"]) == (status, True), problem
    assert (await ask(session, "GET /in-memory/events"))[1] == {"items": []}


async def test_what_is_parked_is_seen(world: tuple[World, aiohttp.ClientSession]) -> None:
    polite, session = world
    assert await ask(session, "GET /in-memory/parked") == (200, {"items": []})
    envelope = Envelope(uuid7(), Greeted.type, "souk/test", polite.clock.now(), "ann")
    await polite.alone.kafka.send([envelope.record("greetings", b'{"name": 7}')])
    await polite.alone.kafka.send([Record("greetings", "bob", (), b"no JSON")])

    async def seen() -> list[dict[str, Any]]:
        _, page = await ask(session, "GET /in-memory/parked")
        items: list[dict[str, Any]] = page["items"]
        return items if len(items) == 2 else []

    await until(seen)
    first, second = sorted(await seen(), key=lambda parked: str(parked["key"]))
    assert first | {"reason": "", "attempts": 0, "parked_at": ""} == {
        "handler": "Polite.greeted",
        "key": "ann",
        "channel": "greetings",
        "type": "test.greeted.v1",
        "reason": "",
        "attempts": 0,
        "parked_at": "",
        "data": {"name": 7},
    }
    assert "not a test.greeted.v1" in first["reason"]
    assert (second["handler"], second["type"], second["data"]) == ("(malformed)", None, "no JSON")
    assert (await ask(session, "GET /in-memory/events"))[1]["items"][0]["data"] == "no JSON"


async def test_a_token_has_the_roles_that_were_asked_for(world: tuple[World, aiohttp.ClientSession]) -> None:
    _, session = world
    for roles, status in (([], 403), (["admin"], 204)):
        _, token = await ask(session, "POST /in-memory/tokens", {"roles": roles})
        assert (await ask(session, "GET /who", token=token["access_token"]))[0] == status
    assert (await ask(session, "GET /who", token=Issuer().token(uuid4(), "admin")))[0] == 401


async def test_who_sends_no_token_is_told_to(world: tuple[World, aiohttp.ClientSession]) -> None:
    status, problem = await ask(world[1], "GET /who")
    assert (status, problem["detail"]) == (401, "Send a token: Authorization: Bearer <token>.")


async def test_where_tokens_come_from_another_issuer_they_do_not_come_from_here() -> None:
    async with Issuer() as issuer:
        world = World(jwks_url=issuer.jwks_url)
        async with running(world.service) as url, aiohttp.ClientSession(url) as session:
            assert (await ask(session, "POST /in-memory/tokens", {"roles": ["admin"]}))[0] == 404
            assert (await ask(session, "GET /who", token=issuer.token(uuid4(), "admin")))[0] == 204


async def put(session: aiohttp.ClientSession, url: str, kind: str) -> int:
    async with session.put(url, data=b"x" * 300_000, headers={"Content-Type": kind}) as answer:
        return answer.status


async def test_a_signed_url_allows_what_it_was_signed_for_and_only_in_time(
    world: tuple[World, aiohttp.ClientSession],
) -> None:
    around, session = world
    bucket: MemoryObjects = around.bucket
    upload = await bucket.presigned_put("a/b", content_type="image/png")
    download = await bucket.presigned_get("a/b")
    async with session.get(download) as answer:
        assert answer.status == 404
    assert await put(session, upload, "text/plain") == 403
    assert await put(session, download, "image/png") == 403
    assert await put(session, upload, "image/png") == 200
    async with session.get(upload) as answer:
        assert answer.status == 403
    async with session.get(download) as answer:
        assert (answer.content_type, await answer.read()) == ("image/png", await bucket.get("a/b"))
    around.clock.advance(timedelta(minutes=16))
    assert await put(session, upload, "image/png") == 403


@pytest.mark.parametrize(
    ("variables", "flags", "says"),
    [
        ({"SOUK_POSTGRES_DSN": "postgresql://u@db/souk"}, [], "SOUK_POSTGRES_DSN"),
        ({"SOUK_KAFKA_BOOTSTRAP": "kafka:9092", "SOUK_AWS_PREFIX": "x-"}, [], "SOUK_AWS_PREFIX, SOUK_KAFKA_BOOTSTRAP"),
        ({"SOUK_PROVISION": "1"}, [], "provisioning"),
        ({}, ["--provision"], "provisioning"),
        ({}, ["--only", "relay"], "--only"),
    ],
)
def test_what_memory_would_not_heed_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    flags: list[str],
    says: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["svc", "--in-memory", *flags])
    with pytest.raises(SystemExit) as ended:
        main(ServiceSettings, lambda _: pytest.fail("it was built"))
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"it does not go with {says}\n")


def test_a_service_that_does_not_heed_the_flag_is_not_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["svc", "--in-memory", "--describe"])
    with pytest.raises(SystemExit) as ended:
        main(ServiceSettings, lambda settings: Service("deaf", settings, store=Memory()))
    assert ended.value.code == 2
    assert "deaf does not heed --in-memory: " in capsys.readouterr().err


def test_an_address_that_is_taken_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(settings: ServiceSettings) -> Service:
        return Service("taken", settings, store=Memory())

    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("SOUK_PORT", str(taken.getsockname()[1]))
        monkeypatch.setattr("sys.argv", ["svc"])
        monkeypatch.setattr("corelib.logs.configure", lambda **_: None)  # both are of the whole process
        monkeypatch.setattr("corelib.main.tune", lambda: None)
        with pytest.raises(SystemExit) as ended:
            main(ServiceSettings, build)
    assert ended.value.code == 2
    assert "which SOUK_HOST and SOUK_PORT say: " in capsys.readouterr().err


def test_a_service_names_itself_as_it_was_started(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(
        "from corelib.config import ServiceSettings; from corelib.main import main; main(ServiceSettings, None)"
    )
    for started in ("small.py", "-m small"):
        command = [sys.executable, *started.split(), "--help"]
        told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert told.stdout.startswith(f"usage: python {started} ")
