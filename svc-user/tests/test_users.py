"""Accounts, tokens and sessions over HTTP, on real parts and in memory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import jwt
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from corelib.testing.running import free_port, running
from svc_user.app import build
from svc_user.domain import normalise_email
from svc_user.settings import UserSettings

PASSWORD = "correct horse"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Users:
    session: aiohttp.ClientSession
    url: str

    async def call(self, method: str, path: str, body: Any = None, *, token: str = "") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.request(method, f"{self.url}{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None) if await answer.read() else None

    async def register(self, **changes: Any) -> tuple[int, Any]:
        person = {"email": f"{uuid4()}@example.com", "password": PASSWORD, "name": "Ann"}
        return await self.call("POST", "/api/v1/users", person | changes)

    async def token(self, email: str, password: str = PASSWORD) -> tuple[int, Any]:
        return await self.call("POST", "/api/v1/users/tokens", {"email": email, "password": password})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def users(either: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Users]:
    key_file = {"signing_key_file": tmp_path_factory.mktemp("user") / "key.pem"}
    given = either if either.get("in_memory") else either | key_file
    settings = UserSettings(
        **given,
        port=free_port(),
        argon2_memory_kib=1_024,
        argon2_passes=1,
        admin_email="admin@example.com",
        admin_password=PASSWORD,
    )
    async with running(build(settings)) as url, aiohttp.ClientSession() as session:
        yield Users(session, url)


@given(st.emails())
async def test_an_address_has_one_normal_form(address: str) -> None:
    normal = normalise_email(address)
    assert normalise_email(normal) == normal == normalise_email(f" {address.upper()} ") or "ß" in address.casefold()


async def test_a_registered_user_signs_in_and_sees_oneself(users: Users) -> None:
    status, user = await users.register(email="Ann.B@Example.com")
    assert (status, user["email"]) == (201, "ann.b@example.com")
    assert "password" not in str(user)
    status, token = await users.token("ANN.B@example.com")
    assert (status, token["token_type"]) == (200, "Bearer")
    assert await users.call("GET", "/api/v1/users/me", token=token["access_token"]) == (200, user)


async def test_a_token_verifies_against_the_published_keys(users: Users) -> None:
    _, user = await users.register()
    _, token = await users.token(user["email"])
    _, keys = await users.call("GET", "/.well-known/jwks.json")
    key = jwt.PyJWKSet.from_dict(keys).keys[0]
    claims = jwt.decode(token["access_token"], key, algorithms=["EdDSA"], audience="souk", issuer="souk")
    assert claims["sub"] == user["user_id"]
    assert "d" not in keys["keys"][0]


async def test_an_address_is_taken_once_however_it_is_written(users: Users) -> None:
    address = f"{uuid4()}@example.com"
    assert (await users.register(email=address))[0] == 201
    status, problem = await users.register(email=address.upper())
    assert (status, problem["type"]) == (409, "urn:souk:problem:email-taken")


async def test_of_many_who_take_an_address_at_once_one_has_it(users: Users) -> None:
    address = f"{uuid4()}@example.com"
    answers = await asyncio.gather(*(users.register(email=address, name=f"Ann {n}") for n in range(8)))
    assert sorted(status for status, _ in answers) == [201] + [409] * 7


async def test_a_wrong_password_and_an_unknown_address_are_told_apart_by_nothing(users: Users) -> None:
    _, user = await users.register()
    wrong = await users.token(user["email"], "wrong password")
    unknown = await users.token("nobody@example.com")
    assert wrong[0] == 401
    for _, problem in (wrong, unknown):
        assert problem.pop("trace_id")
    assert wrong == unknown


async def test_a_session_ends_when_one_signs_out(users: Users) -> None:
    _, user = await users.register()
    token = (await users.token(user["email"]))[1]["access_token"]
    assert (await users.call("DELETE", "/api/v1/users/tokens/current", token=token))[0] == 204
    assert (await users.call("GET", "/api/v1/users/me", token=token))[0] == 401


async def test_a_profile_changes(users: Users) -> None:
    _, user = await users.register()
    token = (await users.token(user["email"]))[1]["access_token"]
    assert (await users.call("PATCH", "/api/v1/users/me", {"name": "Bea"}, token=token))[1]["name"] == "Bea"
    assert (await users.call("PATCH", "/api/v1/users/me", {"name": ""}, token=token))[0] == 422
    assert (await users.call("GET", "/api/v1/users/me", token=token))[1]["name"] == "Bea"


async def test_the_first_administrator_has_the_role(users: Users) -> None:
    token = (await users.token("admin@example.com"))[1]["access_token"]
    assert jwt.decode(token, options={"verify_signature": False})["roles"] == ["admin"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"email": "nobody"}, "/email"),
        ({"password": "short"}, "/password"),
        ({"password": "x" * 200}, "/password"),
        ({"name": ""}, "/name"),
        ({"name": None}, "/name"),
        ({"roles": ["admin"]}, "/roles"),
    ],
)
async def test_bad_input_names_the_field_and_opens_no_account(users: Users, changes: dict[str, Any], says: str) -> None:
    address = f"{uuid4()}@example.com"
    status, problem = await users.register(**{"email": address, **changes})
    assert status == 422
    assert says in str(problem)
    assert PASSWORD not in str(problem)
    assert (await users.token(address))[0] == 401


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
async def test_without_a_valid_token_there_is_no_profile(users: Users, token: str) -> None:
    status, problem = await users.call("GET", "/api/v1/users/me", token=token)
    assert (status, problem["status"]) == (401, 401)
