"""For tests of services: who signs the tokens of their callers."""

from datetime import timedelta
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

from aiohttp import web

from corelib.auth import TokenSigner, new_key
from corelib.testing.running import free_port


class Issuer:
    """Stands in for svc-user: signs tokens and publishes its key at `jwks_url` while the block runs."""

    def __init__(self) -> None:
        self._signer = TokenSigner(new_key())
        self._port = free_port()
        self._runner: web.AppRunner | None = None

    @property
    def jwks_url(self) -> str:
        """Where the key is published."""
        return f"http://127.0.0.1:{self._port}/.well-known/jwks.json"

    def token(self, user_id: UUID, *roles: str, email: str = "buyer@example.com", minutes: float = 5) -> str:
        """Return a token of a user with these roles."""
        return self._signer.token(user_id, email, roles, session_id=str(uuid4()), lifetime=timedelta(minutes=minutes))

    async def __aenter__(self) -> Self:
        """Publish the key."""

        async def jwks(_: web.Request) -> web.Response:
            return web.json_response(self._signer.jwks())

        app = web.Application()
        app.router.add_get("/.well-known/jwks.json", jwks)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop publishing."""
        if self._runner is not None:
            await self._runner.cleanup()
