"""What every answer comes with, whoever gave it: an operation, a route beside them, or nobody."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import REGISTRY
from pydantic import BaseModel

from corelib.api import Api, get, post
from corelib.errors import Problem
from corelib.http import application
from corelib.memory.store import Memory

TRACE = "0af7651916cd43dd8448eb211c80319c"
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
        return Ask(words=f"{number}: {body.words}")

    @get("/doors/closed")
    async def wait(self) -> None:
        self.waiting.set()
        await self.open.wait()


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
