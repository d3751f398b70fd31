"""Whose tokens are good: where keys come from."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from corelib.auth import Authenticator, FixedKeys, PublishedKeys, TokenSigner, keys_of, new_key
from corelib.errors import Problem, Unavailable

SIGNER = TokenSigner(new_key())


def _bearer() -> str:
    minutes = timedelta(minutes=5)
    return f"Bearer {SIGNER.token(uuid4(), 'ann@example.com', ('admin',), session_id='s', lifetime=minutes)}"


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
    caller = await Authenticator(keys).caller(_bearer())
    assert caller.roles == {"admin"}
    await keys.close()


async def test_keys_that_cannot_be_had_are_no_fault_of_the_caller(issuer: str) -> None:
    keys = PublishedKeys(f"{issuer}/.well-known/jwks.json")
    await keys.open()
    for _ in range(2):  # nor where they were asked for a moment ago
        with pytest.raises(Unavailable, match=r"are not at /\.well-known/jwks\.json: answered 404"):
            await Authenticator(keys).caller(_bearer())
    await keys.close()


def test_an_issuer_may_publish_keys_of_other_kinds() -> None:
    others = [{"kty": "RSA", "kid": "rsa", "n": "AQAB", "e": "AQAB"}, {"kty": "OKP", "crv": "X25519", "kid": "x"}]
    (ours,) = SIGNER.jwks()["keys"]
    assert set(keys_of({"keys": [*others, ours]})) == {ours["kid"]}


async def test_a_token_must_be_of_the_issuer_and_for_the_audience() -> None:
    other = TokenSigner(new_key(), issuer="library", audience="readers")
    token = other.token(uuid4(), "", (), session_id="s", lifetime=timedelta(minutes=5))
    keys = FixedKeys(other.jwks())
    assert await Authenticator(keys, issuer="library", audience="readers").caller(f"Bearer {token}")
    for wrong in ({"issuer": "library"}, {"audience": "readers"}):
        with pytest.raises(Problem, match="The token is not valid"):
            await Authenticator(keys, **wrong).caller(f"Bearer {token}")


async def test_who_is_refused_is_told_whose_token_it_takes_and_what_was_wrong_with_the_one_sent() -> None:
    library = Authenticator(FixedKeys(SIGNER.jwks()), issuer="library")
    for authorization, challenge in (
        (None, 'Bearer realm="library"'),
        (_bearer(), 'Bearer realm="library", error="invalid_token"'),
    ):
        with pytest.raises(Problem) as refused:
            await library.caller(authorization)
        assert refused.value.headers["WWW-Authenticate"] == challenge
