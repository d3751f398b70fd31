"""What calls to other services say when they fail."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from corelib.errors import Unavailable
from corelib.http_client import HttpClient
from corelib.testing.running import free_port


async def test_an_answer_that_is_no_json_is_told_with_its_status_and_its_beginning() -> None:
    async def jam(_: web.Request) -> web.Response:
        return web.Response(status=500, text="paper jam")

    app = web.Application()
    app.add_routes([web.post("/labels", jam)])
    async with TestServer(app) as server:
        client = HttpClient("printer", str(server.make_url("")))
        answer = await client.request("POST", "/labels", json={})
        await client.close()
    with pytest.raises(ValueError, match="the body of an answer 500 is no JSON: b'paper jam'"):
        answer.json()


async def test_a_peer_that_is_away_is_told_in_a_sentence() -> None:
    client = HttpClient("printer", f"http://127.0.0.1:{free_port()}", attempts=1)
    told = r"^printer is unavailable: POST /labels: ClientConnectorError Cannot connect to host 127\.0\.0\.1:\d+ "
    with pytest.raises(Unavailable, match=told):
        await client.request("POST", "/labels")
    await client.close()
