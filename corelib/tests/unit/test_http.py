"""What every answer comes with, whoever gave it: an operation, a route beside them, or nobody."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import REGISTRY
from pydantic import BaseModel, Field
from structlog.testing import capture_logs

from corelib.api import Api, get, post
from corelib.clock import SystemClock
from corelib.config import ServiceSettings
from corelib.documents import Table, documents
from corelib.errors import Problem, Unavailable
from corelib.http import problem, server
from corelib.http.server import application
from corelib.memory.store import Memory
from corelib.message import Channel, Event
from corelib.service import Service
from corelib.testing.running import until
from corelib.transaction import Origin, Transaction

TRACE = "0af7651916cd43dd8448eb211c80319c"
LOCKED = 503
GROUPED = 504
Client = TestClient[web.Request, web.Application]


class Ask(BaseModel):
    words: str


class Doors(Api):
    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.waiting = asyncio.Event()

    @post("/doors/{number}", status=201)
    async def knock(self, number: int, body: Ask) -> Ask:
        if number == 13:
            raise Problem(409, "no-such-door", "There is none.")
        if number == 0:
            raise RuntimeError("a fault of ours")
        if number == GROUPED:
            async with asyncio.TaskGroup() as both:
                both.create_task(asyncio.sleep(0))
                both.create_task(self.knock(LOCKED, body))
        if number == LOCKED:
            raise Unavailable(body.words, "its table is missing")
        return Ask(words=f"{number}: {body.words}")

    @get("/doors/closed")
    async def wait(self) -> None:
        self.waiting.set()
        await self.open.wait()


ROOMS = Channel("rooms", max_bytes=1_000)


class Built(Event, type="test.built.v1", channels=(ROOMS,), key="name"):
    name: str
    words: str = Field(max_length=2_000)


class Builders(Api):
    @post("/rooms")
    async def build(self, body: Ask, tx: Transaction) -> None:
        tx.publish(Built.model_construct(None, name="r", words=body.words))


@pytest_asyncio.fixture
async def rooms() -> AsyncIterator[tuple[Client, Memory]]:
    store = Memory()
    await store.open(Origin("test", SystemClock(), frozenset({Built})))
    app = application([Builders()], store, None, (), body_limit_bytes=10_000)
    async with TestClient(TestServer(app)) as client:
        yield client, store


@pytest_asyncio.fixture
async def doors() -> AsyncIterator[tuple[Client, Doors]]:
    async def beside(_: web.Request) -> web.Response:
        return web.Response(text="beside")

    api = Doors()
    app = application([api], Memory(), None, [web.get("/beside", beside)], body_limit_bytes=1_000)
    async with TestClient(TestServer(app)) as client:
        yield client, api


def answered(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("http_request_duration_seconds_count", labels) or 0.0


CASES = [
    ("POST", "/doors/7", "/doors/{number}", 201),
    ("POST", "/doors/13", "/doors/{number}", 409),
    ("POST", "/doors/0", "/doors/{number}", 500),
    ("POST", f"/doors/{GROUPED}", "/doors/{number}", 503),
    ("POST", "/doors/x", "/doors/{number}", 404),
    ("GET", "/beside", "/beside", 200),
    ("HEAD", "/beside", "/beside", 200),
    ("PUT", "/beside", "(none)", 405),
    ("GET", "/nothing", "(none)", 404),
    ("GET", "/a%0Ab", "(none)", 404),
    ("GET", "//", "(none)", 404),
]


@pytest.mark.parametrize(("method", "path", "route", "status"), CASES)
async def test_an_answer_is_counted_under_its_route_and_status(
    doors: tuple[Client, Doors], method: str, path: str, route: str, status: int
) -> None:
    client, _ = doors
    before = answered(method, route, status)
    assert (await client.request(method, path, json={"words": "hi"})).status == status
    assert answered(method, route, status) == before + 1


@pytest.mark.parametrize(("method", "path", "status"), [(m, p, s) for m, p, _, s in CASES if s >= 400])
async def test_a_refusal_is_a_problem_on_the_trace_of_its_caller(
    doors: tuple[Client, Doors], method: str, path: str, status: int
) -> None:
    client, _ = doors
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    answer = await client.request(method, path, json={"words": "hi"}, headers=headers)
    problem: dict[str, Any] = await answer.json(content_type="application/problem+json")
    assert (problem["status"], problem["trace_id"]) == (status, TRACE)


@pytest.mark.parametrize(("seconds", "lines"), [(60.0, 1), (0.0, 2)])
async def test_what_is_unavailable_is_said_in_the_log_once_a_minute(
    doors: tuple[Client, Doors], monkeypatch: pytest.MonkeyPatch, seconds: float, lines: int
) -> None:
    """A store may pass its check and yet lack a table: then nothing else tells why requests get 503."""
    monkeypatch.setattr(server, "_REPEATED_SECONDS", seconds)
    with capture_logs() as logs:
        for dependency in ("postgres", "postgres", "mail"):
            assert (await doors[0].post(f"/doors/{LOCKED}", json={"words": dependency})).status == LOCKED
    said = [f"{one['log_level']} {one['path']} {one['reason']}" for one in logs]
    missing = [f"warning /doors/503 {name} is unavailable: its table is missing" for name in ("postgres", "mail")]
    assert said == [missing[0]] * lines + [missing[1]]


REFUSED = [
    (3_000, 500, "internal-error", "Built does not validate: words: String should have at most 2000 characters"),
    (1_500, 413, "content-too-large", "kafka channel rooms takes 1000 (Channel.max_bytes)"),
    (20_000, 413, "content-too-large", None),
]


@pytest.mark.parametrize(("size", "status", "kind", "logged"), REFUSED, ids=["invalid", "too large", "body"])
async def test_whose_fault_it_is_that_an_event_cannot_be_published(
    rooms: tuple[Client, Memory], size: int, status: int, kind: str, logged: str | None
) -> None:
    client, store = rooms
    with capture_logs() as lines:
        answer = await client.post("/rooms", json={"words": "x" * size})
    problem: dict[str, Any] = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["status"], problem["type"]) == (status, status, f"urn:souk:problem:{kind}")
    assert "Built" not in str(problem)
    assert "rooms" not in str(problem)
    assert not logged or logged in str(lines)
    assert await published(store) == []


async def test_what_is_right_and_fits_is_published(rooms: tuple[Client, Memory]) -> None:
    client, store = rooms
    assert (await client.post("/rooms", json={"words": "hi"})).status == 204
    assert await published(store) == ["r"]


async def published(store: Memory) -> list[str]:
    outbox = store.outbox("kafka", frozenset({ROOMS.name}))
    assert await outbox.acquire("test")
    return [pending.record.key for pending in await outbox.read(10)]


async def test_a_method_that_an_address_lacks_is_told_which_it_has(doors: tuple[Client, Doors]) -> None:
    client, _ = doors
    assert (await client.delete("/doors/7")).headers["Allow"] == "POST"
    assert (await client.delete("/doors/closed")).headers["Allow"] == "GET,POST"


async def test_a_question_to_the_whole_server_is_answered_and_counted(doors: tuple[Client, Doors]) -> None:
    client, _ = doors
    before = answered("OPTIONS", "*", 204)
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"OPTIONS * HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")  # which no client of aiohttp sends
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert answered("OPTIONS", "*", 204) == before + 1


async def test_what_is_being_answered_is_told_while_it_is(doors: tuple[Client, Doors]) -> None:
    client, api = doors
    asking = asyncio.create_task(client.get("/doors/closed"))
    await asyncio.wait_for(api.waiting.wait(), 10)
    assert REGISTRY.get_sample_value("http_requests_in_flight") == 1
    api.open.set()
    assert (await asking).status == 204
    assert REGISTRY.get_sample_value("http_requests_in_flight") == 0


async def test_parameters_of_the_media_type_do_not_matter(doors: tuple[Client, Doors]) -> None:
    client, _ = doors
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answer = await client.post("/doors/7", data=b'{"words": "hi"}', headers=headers)
    assert await answer.json() == {"words": "7: hi"}


class Repeated(Api):
    """Operations that a client may repeat, and one that never ends well."""

    @post("/orders/{order}/cancel", idempotent="required")
    async def cancel(self, order: str, query: Ask, tx: Transaction) -> Ask:  # noqa: ARG002 -- asked for by its name
        return Ask(words=f"{order} {query.words}")

    @post("/report", idempotent="required")
    async def report(self, tx: Transaction) -> web.Response:  # noqa: ARG002 -- as above
        return web.Response(body=b"\xff%PDF", content_type="application/pdf", headers={"ETag": '"1"'})

    @post("/export", idempotent="required")
    async def export(self, query: Ask, tx: Transaction) -> web.Response:
        exports = documents(tx)
        done = ((await exports.get("exports", {"name": "all"})) or {"count": 0})["count"] + 1
        exports.put("exports", {"name": "all", "count": done})
        return web.Response(body=str(done).rjust(int(query.words)).encode())

    @post("/form", idempotent="required")
    async def form(self, tx: Transaction) -> web.Response:  # noqa: ARG002 -- as above
        return web.Response(body=FormData({"a": "b"})())

    @post("/abandoned")
    async def wait(self) -> None:
        shared = asyncio.ensure_future(asyncio.Event().wait())
        asyncio.get_running_loop().call_soon(shared.cancel)
        await shared


@pytest_asyncio.fixture
async def repeated() -> AsyncIterator[Client]:
    store = Memory(tables=[Table("exports", "name")])
    await store.open(Origin("test", SystemClock(), frozenset()))
    async with TestClient(TestServer(application([Repeated()], store, None, (), body_limit_bytes=1_000))) as client:
        yield client


async def test_an_answer_that_is_too_large_to_be_kept_undoes_the_work(repeated: Client) -> None:
    headers = {"Idempotency-Key": "k"}
    with capture_logs() as logs:
        refused = await repeated.post("/export?words=270000", headers=headers)
    assert (refused.status, (await refused.json())["title"]) == (413, "Content too large")
    (said,) = (log for log in logs if log["log_level"] == "warning")
    assert "an answer of 360" in said["reason"]
    assert "it may have 360000" in said["reason"]
    counted = await (await repeated.post("/export?words=262144", headers=headers)).read()
    assert (len(counted), counted[-1:]) == (262_144, b"1")  # the first that was done
    assert await (await repeated.post("/export?words=262144", headers=headers)).read() == counted


@pytest.mark.parametrize("other", ["/orders/2/cancel?words=x", "/orders/1/cancel?words=y"])
async def test_a_key_is_of_one_address(repeated: Client, other: str) -> None:
    first = await repeated.post("/orders/1/cancel?words=x", headers={"Idempotency-Key": "k"})
    again = await repeated.post("/orders/1/cancel?words=x", headers={"Idempotency-Key": "k"})
    assert await first.json() == await again.json() == {"words": "1 x"}
    elsewhere = await repeated.post(other, headers={"Idempotency-Key": "k"})
    assert (elsewhere.status, (await elsewhere.json())["title"]) == (422, "Idempotency key reused")


async def test_an_answer_is_repeated_as_it_was(repeated: Client) -> None:
    for _ in range(2):
        answer = await repeated.post("/report", headers={"Idempotency-Key": "k"})
        assert (answer.status, answer.content_type, answer.headers["ETag"]) == (200, "application/pdf", '"1"')
        assert await answer.read() == b"\xff%PDF"
    assert answer.headers["Idempotency-Replayed"] == "true"


async def test_an_answer_that_cannot_be_kept_is_a_fault(repeated: Client) -> None:
    with capture_logs() as logs:
        assert (await repeated.post("/form", headers={"Idempotency-Key": "k"})).status == 500
    assert "must be bytes, not a " in str(logs[0]["exc_info"])


async def test_work_that_was_cancelled_by_another_is_answered(repeated: Client) -> None:
    with capture_logs() as logs:
        assert (await repeated.post("/abandoned")).status == 500
    assert "cancelled by somebody else" in str(logs[0]["exc_info"])


@pytest_asyncio.fixture
async def address() -> AsyncIterator[tuple[str, int]]:
    """A server as a service has it: a `TestServer` would cancel what a client no longer waits for."""
    runner = web.AppRunner(application([Doors()], Memory(), None, (), body_limit_bytes=1_000))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0]
    await runner.cleanup()


@pytest.mark.parametrize(
    ("headers", "body"),
    [("Content-Length: 100", b'{"words":'), ("Content-Length: 5\r\nContent-Encoding: gzip", b"plain")],
    ids=["cut off", "not as it is said to be encoded"],
)
async def test_a_body_that_does_not_come_whole_is_no_fault_of_ours(
    address: tuple[str, int], headers: str, body: bytes
) -> None:
    before = answered("POST", "/doors/{number}", 400)
    with capture_logs() as logs:
        _, writer = await asyncio.open_connection(*address)
        head = f"POST /doors/1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()
        await until(lambda: answered("POST", "/doors/{number}", 400) == before + 1)
    assert logs == []


def test_what_became_of_a_commit_without_an_answer_is_not_claimed_to_be_known() -> None:
    lost = problem.of(Unavailable("postgres", "the connection broke in COMMIT"))
    assert lost is not None
    assert "nothing was changed" not in lost.detail
    assert "Idempotency-Key" in lost.detail


async def test_problems_and_events_are_of_the_services_own_namespace() -> None:
    service = Service("catalogue", ServiceSettings(), store=Memory(), namespace="library")
    async with TestClient(TestServer(service.app)) as client:
        nothing = await client.get("/nothing")
        assert (await nothing.json())["type"] == "urn:library:problem:not-found"
    assert service.origin.source == "library/catalogue"


@pytest.mark.parametrize("namespace", ["", "a", "-a", "a_b", "a" * 33])
def test_a_namespace_that_no_urn_may_have_is_refused(namespace: str) -> None:
    with pytest.raises(TypeError, match="2 to 32 letters, digits and hyphens"):
        Service("catalogue", ServiceSettings(), store=Memory(), namespace=namespace)
