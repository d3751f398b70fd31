"""What an API declares wrongly is refused in a sentence when the service is built."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from declared import service
from pydantic import BaseModel

from corelib.api import Api, Reply, get, post
from corelib.auth import Caller
from corelib.http.openapi import document


class Door(Api):
    @get("/door")
    async def door(self) -> None:
        """Do nothing."""


class Word(BaseModel):
    word: str


class OtherDoor(Door):
    """Has the endpoints of whom it inherits from."""


def a_key_of_nothing() -> list[Api]:
    class Loose(Api):
        @post("/x", idempotent="required")
        async def make(self) -> None: ...

    return [Loose()]


def perhaps_a_caller() -> list[Api]:
    class Perhaps(Api):
        @get("/me")
        async def look(self, caller: Caller | None = None) -> None: ...

    return [Perhaps()]


def no_model() -> list[Api]:
    class Vague(Api):
        @post("/x")
        async def make(self, body: dict[str, str]) -> None: ...

    return [Vague()]


def returns(hint: object) -> list[Api]:
    async def look(_: Api) -> None: ...

    look.__annotations__ = {"return": hint}
    return [type("Wordy", (Api,), {"look": get("/words")(look)})()]


def unannotated() -> list[Api]:
    class Vague(Api):
        @get("/{name}")
        async def look(self, name) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001 -- as above

    return [Vague()]


def misnamed() -> list[Api]:
    class Wrong(Api):
        @get("/{name}")
        async def look(self, nmae: str) -> None: ...

    return [Wrong()]


def no_authenticator() -> list[Api]:
    class Curious(Api):
        @get("/me")
        async def look(self, caller: Caller) -> None: ...

    return [Curious()]


def not_async_endpoint() -> list[Api]:
    class Hasty(Api):
        @get("/me")  # type: ignore[type-var]  # what a type checker would say, is said to others too
        def look(self) -> None: ...

    return [Hasty()]


def bare_get() -> None:
    class Bare(Api):
        @get  # type: ignore[arg-type]  # as above
        async def look(self) -> None: ...  # type: ignore[misc]  # as above


def same_door() -> list[Api]:
    class Hall(Api):
        @post("/doors/{name}")
        async def open(self, name: str) -> None: ...

        @get("/doors/{name}")
        async def look(self, name: str) -> None: ...

        @get("/doors")
        async def count(self) -> None: ...

    class Yard(Api):
        @get("/doors/{door}")
        async def peep(self, door: str) -> None: ...

    return [Hall(), Yard()]


def taken_by_corelib() -> list[Api]:
    class Late(Api):
        @get("/livez")
        async def live(self) -> None: ...

    return [Late()]


WRONG = [
    (lambda: service(apis=a_key_of_nothing()), "make: an Idempotency-Key is kept with what it did: ask for `tx`"),
    (lambda: post("/x", idempotent="requierd"), "/x: idempotent is one of"),  # type: ignore[arg-type]
    (lambda: service(apis=perhaps_a_caller()), r"look: caller must be a Caller, not corelib.auth.Caller \| None"),
    (lambda: service(apis=no_model()), r"make: body must be a BaseModel, not dict\[str, str\]"),
    (
        lambda: service(apis=returns(list[int])),
        r"look returns list\[int\]: an endpoint returns a pydantic model, Reply",
    ),
    (lambda: service(apis=returns(Reply[str])), r"look returns .*Reply\[str\]: an endpoint returns"),  # type: ignore[type-var]
    (lambda: service(apis=returns(BaseModel | str)), r"look returns .*BaseModel \| str: an endpoint returns"),
    (lambda: service(apis=unannotated()), "look: name must be annotated"),
    (lambda: service(apis=misnamed()), "look: cannot bind nmae: parameters are those in the path"),
    (lambda: service(apis=no_authenticator()), r"GET /me wants a caller: give Service\(authenticator="),
    (lambda: service(apis=not_async_endpoint()), "look must be `async def`"),
    (lambda: service(apis=[Door]), r"apis=\[Door\] is a class: give an instance of it, Door\(\.\.\.\)"),  # type: ignore[list-item]
    (lambda: get("/x", roles="admin"), r"/x: roles is a tuple of names: \('admin',\), not 'admin'"),  # type: ignore[arg-type]
    (bare_get, r"write @get\(\"/path\"\), not @get: its path begins with /, unlike <function"),
    (lambda: post("orders"), "its path begins with /, unlike 'orders'"),
    (lambda: service(apis=same_door()), r"GET /doors/{door} is there twice, as Hall\.look and Yard\.peep"),
    (
        lambda: service(apis=[Door(), Door()]),
        "GET /door is there twice, as Door.door and Door.door: change the path",
    ),
    (lambda: service(apis=taken_by_corelib()), "GET /livez is there twice, as corelib's own and Late.live"),
]


@pytest.mark.parametrize(("declared", "said"), WRONG)
def test_an_api_declared_wrongly_is_refused_in_a_sentence(declared: Callable[[], object], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        declared()


def test_an_api_declared_rightly_is_taken() -> None:
    assert service(apis=[Door()]).name == "x"


def test_addresses_that_differ_by_method_or_by_what_a_parameter_takes_are_two() -> None:
    class Parcels(Api):
        @get("/parcels/{parcel_id}")
        async def by_id(self, parcel_id: UUID) -> None: ...

        @get("/parcels/{name}")
        async def by_name(self, name: str) -> None: ...

        @post("/parcels/{name}")
        async def send(self, name: str) -> None: ...

    assert service(apis=[Parcels()]).name == "x"


def test_an_api_has_the_endpoints_that_it_inherits() -> None:
    assert [operation.path for operation, _ in OtherDoor().operations()] == ["/door"]


@pytest.mark.parametrize("hint", [Word, Reply[Word], Word | None, Reply[Word | None]])
def test_what_an_endpoint_answers_is_in_the_document(hint: object) -> None:
    answers = document("x", "0", returns(hint))["paths"]["/words"]["get"]["responses"]
    assert answers["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Word"}


@pytest.mark.parametrize("hint", [None, Any, Reply, Reply[None], web.Response])
def test_an_answer_may_have_no_model(hint: object) -> None:
    answers = document("x", "0", returns(hint))["paths"]["/words"]["get"]["responses"]
    assert answers["200"] == {"description": "Done"}
