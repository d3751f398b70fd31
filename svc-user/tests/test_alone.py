"""`python -m svc_user --in-memory`: whoever registers signs in; another service in memory takes the tokens."""

from corelib.testing.alone import alone, ask
from corelib.testing.running import free_port

ANN = {"email": "ann@example.com", "password": "correct horse", "name": "Ann"}


async def test_a_user_registers_signs_in_and_is_told_of() -> None:
    async with alone("svc_user") as session:
        assert (await ask(session, "POST /api/v1/users", ANN))[0] == 201
        assert (await ask(session, "POST /api/v1/users", ANN))[0] == 409
        sign_in = {"email": ANN["email"], "password": ANN["password"]}
        _, answer = await ask(session, "POST /api/v1/users/tokens", sign_in)
        token = answer["access_token"]
        _, me = await ask(session, "GET /api/v1/users/me", token=token)
        assert (me["email"], me["name"]) == ("ann@example.com", "Ann")
        assert (await ask(session, "DELETE /api/v1/users/tokens/current", token=token))[0] == 204
        assert (await ask(session, "GET /api/v1/users/me", token=token))[0] == 401


async def test_one_service_in_memory_takes_the_tokens_of_another() -> None:
    port, admin = str(free_port()), {"SOUK_ADMIN_EMAIL": "admin@example.com", "SOUK_ADMIN_PASSWORD": "correct horse"}
    async with (
        alone("svc_user", SOUK_PORT=port, **admin) as users,
        alone("svc_product", SOUK_JWKS_URL=f"http://127.0.0.1:{port}/.well-known/jwks.json") as products,
    ):
        sign_in = {"email": "admin@example.com", "password": "correct horse"}
        _, answer = await ask(users, "POST /api/v1/users/tokens", sign_in)
        bread = {"name": "Bread", "price": {"amount": 250, "currency": "USD"}}
        assert (await ask(products, "POST /api/v1/products", bread, token=answer["access_token"]))[0] == 201
        assert (await ask(products, "POST /in-memory/tokens", {}))[0] == 404
