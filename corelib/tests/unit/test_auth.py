"""Whose tokens are good: where keys come from."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from corelib.auth import Authenticator, PublishedKeys, TokenSigner, new_key
from corelib.errors import Problem

SIGNER = TokenSigner(new_key())
TOKEN = SIGNER.token(uuid4(), "ann@example.com", ("admin",), session_id="s", lifetime=timedelta(minutes=5))


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[str]:
    async def keys(request: web.Request) -> web.Response:
        return web.json_response(SIGNER.jwks() if request.query_string == "v=2" else {"keys": []})

    app = web.Application()
    app.router.add_get("/realms/shop/certs", keys)
    async with TestServer(app) as server:
        yield f"http://{server.host}:{server.port}"


async def test_keys_are_found_at_whatever_address_their_issuer_has_for_them(issuer: str) -> None:
    keys = PublishedKeys(f"{issuer}/realms/shop/certs?v=2")
    await keys.open()
    caller = await Authenticator(keys).caller(f"Bearer {TOKEN}")
    assert caller.roles == {"admin"}
    await keys.close()


async def test_an_address_without_keys_is_said_in_the_log(issuer: str) -> None:
    keys = PublishedKeys(f"{issuer}/.well-known/jwks.json")
    await keys.open()
    with capture_logs() as said, pytest.raises(Problem, match="a key that its issuer does not publish"):
        await Authenticator(keys).caller(f"Bearer {TOKEN}")
    assert [(line["log_level"], line["path"], line["status"]) for line in said] == [
        ("warning", "/.well-known/jwks.json", 404)
    ]
    await keys.close()
