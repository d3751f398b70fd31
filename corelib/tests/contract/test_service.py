"""A whole service over HTTP, on real PostgreSQL and real Kafka."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import BaseModel, Field

from corelib.api import Api, get, post
from corelib.auth import Authenticator, Caller, FixedKeys, TokenSigner
from corelib.config import ServiceSettings
from corelib.errors import Problem
from corelib.ids import uuid7
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Command, Event
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.service import Service
from corelib.testing.running import free_port, running

NOTES = Channel(f"notes-{uuid4().hex[:8]}")
SIGNER = TokenSigner(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
TABLE = "CREATE TABLE IF NOT EXISTS note (id text PRIMARY KEY, words text NOT NULL)"


class WriteNote(Command):
    words: str = Field(min_length=1, max_length=100)


class Note(BaseModel):
    id: str
    words: str


class NoteWritten(Event, type="test.note.written.v1", channels=(NOTES,), key="id"):
    id: str


class NotesApi(Api):
    def __init__(self, store: Postgres) -> None:
        self.store = store
        self.writes = 0

    @post("/notes", status=201, idempotent="required")
    async def write(self, body: WriteNote, caller: Caller, tx: PostgresTransaction) -> Note:
        """Write a note."""
        self.writes += 1
        if body.words == "fail":
            raise Problem(422, "unwanted", "This is not wanted.")
        if body.words == "crash":
            raise RuntimeError("a fault of ours")
        note = Note(id=str(uuid7()), words=f"{caller.email}: {body.words}")
        await tx.execute("INSERT INTO note VALUES ($1, $2)", note.id, note.words)
        tx.publish(NoteWritten(id=note.id))
        return note

    @get("/notes/{number}")
    async def read(self, number: int) -> Note:
        """Read a note."""
        raise Problem(404, "not-found", f"There is no note {number}.")

    @get("/notes", roles=("admin",))
    async def all(self) -> None:
        """List nothing."""


@pytest_asyncio.fixture
async def service(postgres_dsn: str, kafka_bootstrap: str) -> AsyncIterator[tuple[Service, str, NotesApi]]:
    store = Postgres(postgres_dsn, schema=f"t{uuid4().hex[:12]}", migrations=(TABLE,))
    api = NotesApi(store)
    settings = ServiceSettings(provision=True, port=free_port(), body_limit_bytes=1_000)
    service = Service(
        "notes",
        settings,
        store=store,
        apis=[api],
        publishes=[NoteWritten],
        brokers=[Kafka(kafka_bootstrap)],
        authenticator=Authenticator(FixedKeys(SIGNER.jwks())),
    )
    async with running(service):
        yield service, f"http://127.0.0.1:{settings.port}", api


def token(*roles: str) -> str:
    return SIGNER.token(uuid7(), "ann@example.com", roles, session_id="s", lifetime=timedelta(minutes=5))


async def call(
    method: str, url: str, body: bytes | None = None, *, auth: str | None = None, **headers: str
) -> tuple[int, Any, Mapping[str, str]]:
    sent = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    if auth:
        sent["Authorization"] = f"Bearer {auth}"
    async with aiohttp.ClientSession() as session, session.request(method, url, data=body, headers=sent) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text.startswith("{") else text, answer.headers


Running = tuple[Service, str, NotesApi]


async def test_a_request_is_answered_once_per_key(service: Running) -> None:
    _, url, api = service
    who = token()
    first = await call("POST", f"{url}/notes", b'{"words": "hi"}', auth=who, Idempotency_Key="k1")
    again = await call("POST", f"{url}/notes", b'{"words": "hi"}', auth=who, Idempotency_Key="k1")
    assert first[0] == again[0] == 201
    assert first[1] == again[1]
    assert again[2]["Idempotency-Replayed"] == "true"
    assert await api.store.pool.fetchval("SELECT count(*) FROM note") == 1
    assert await api.store.pool.fetchval("SELECT count(*) FROM outbox_0") == 1


async def test_a_key_with_another_body_is_refused(service: Running) -> None:
    _, url, _ = service
    who = token()
    await call("POST", f"{url}/notes", b'{"words": "hi"}', auth=who, Idempotency_Key="k")
    status, problem, _ = await call("POST", f"{url}/notes", b'{"words": "ho"}', auth=who, Idempotency_Key="k")
    assert (status, problem["title"]) == (422, "Idempotency key reused")


async def test_nothing_is_kept_of_work_that_failed(service: Running) -> None:
    _, url, api = service
    who = token()
    for _ in range(2):
        status, _, _ = await call("POST", f"{url}/notes", b'{"words": "fail"}', auth=who, Idempotency_Key="k")
        assert status == 422
    assert api.writes == 2


async def test_requests_at_the_same_time_with_one_key_do_the_work_once(service: Running) -> None:
    _, url, api = service
    who = token()
    answers = await asyncio.gather(
        *(call("POST", f"{url}/notes", b'{"words": "hi"}', auth=who, Idempotency_Key="k") for _ in range(10))
    )
    assert {answer[0] for answer in answers} <= {201, 409}
    assert await api.store.pool.fetchval("SELECT count(*) FROM note") == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"words": ""}', 422),
        (b'{"words": "x", "more": 1}', 422),
        (b'{"words": 1}', 422),
        (b'{"words": "a\\u0000b"}', 422),
        (b"{", 400),
        (b"", 400),
        (b"\xff", 400),
        (b"[" * 900, 400),
        (b'{"words": "' + b"x" * 2_000 + b'"}', 413),
        (b'{"words": "crash"}', 500),
    ],
)
async def test_a_bad_body_is_a_problem_that_says_why(service: Running, body: bytes, expected: int) -> None:
    _, url, api = service
    status, problem, headers = await call("POST", f"{url}/notes", body, auth=token(), Idempotency_Key="k")
    assert status == expected
    assert headers["Content-Type"].startswith("application/problem+json")
    assert problem["status"] == expected
    assert problem["detail"]
    assert len(problem["trace_id"]) == 32
    assert await api.store.pool.fetchval("SELECT count(*) FROM note") == 0


async def test_router_and_access_answers_are_problems_too(service: Running) -> None:
    _, url, _ = service
    expected = {
        ("GET", "/nothing", None): 404,
        ("DELETE", "/notes", None): 405,
        ("GET", "/notes/one", None): 404,
        ("GET", "/notes/1", None): 404,
        ("GET", "/notes", None): 401,
        ("GET", "/notes", "a.b.c"): 401,
        ("GET", "/notes", token("user")): 403,
        ("GET", "/notes", token("admin")): 204,
    }
    for (method, path, auth), status in expected.items():
        answered, _, headers = await call(method, f"{url}{path}", auth=auth)
        assert answered == status, (method, path)
        if status >= 400:
            assert headers["Content-Type"].startswith("application/problem+json")


async def test_a_missing_key_and_a_wrong_content_type_are_named(service: Running) -> None:
    _, url, _ = service
    assert (await call("POST", f"{url}/notes", b'{"words": "x"}', auth=token()))[0] == 400
    wrong = await call("POST", f"{url}/notes", b"words=x", auth=token(), Content_Type="text/plain", Idempotency_Key="k")
    assert wrong[0] == 415


async def test_health_metrics_and_documents_are_served(service: Running) -> None:
    _, url, _ = service
    for path in ("/livez", "/readyz", "/startupz", "/info", "/metrics", "/docs", "/openapi.json"):
        assert (await call("GET", f"{url}{path}"))[0] == 200, path
    ready = (await call("GET", f"{url}/readyz"))[1]
    assert ready["checks"] == {"postgres": "ok", "kafka": "ok"}
    document = (await call("GET", f"{url}/openapi.json"))[1]
    assert document["paths"]["/notes"]["post"]["summary"] == "Write a note."


async def test_a_database_that_is_gone_is_a_503_and_not_ready(service: Running) -> None:
    notes, url, api = service
    await api.store.close()
    status, problem, headers = await call("POST", f"{url}/notes", b'{"words": "x"}', auth=token(), Idempotency_Key="k")
    assert (status, headers["Retry-After"]) == (503, "1")
    assert "postgres" in problem["detail"]
    assert (await call("GET", f"{url}/readyz"))[0] == 503
    assert (await call("GET", f"{url}/livez"))[0] == 200
    assert not notes.health.failed_parts
