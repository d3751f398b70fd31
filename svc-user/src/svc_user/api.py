"""Users over HTTP: register, sign in and out, profile, the published keys."""

from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, EmailStr, Field, SecretStr

from contracts.users import UserProfileChanged, UserRegistered
from corelib.api import Api, delete, get, patch, post
from corelib.auth import Caller, TokenSigner
from corelib.clock import Clock
from corelib.errors import Problem
from corelib.ids import uuid7
from corelib.message import Command
from corelib.transaction import Transaction
from svc_user.domain import Account, normalise_email
from svc_user.passwords import Passwords
from svc_user.store import Accounts, Sessions

Name = Annotated[str, Field(min_length=1, max_length=200)]


class RegisterUser(Command):
    """Open an account."""

    email: EmailStr
    password: Annotated[SecretStr, Field(min_length=8, max_length=128)]
    name: Name


class SignIn(Command):
    """Ask for a token."""

    email: Annotated[str, Field(max_length=320)]
    password: Annotated[SecretStr, Field(max_length=128)]


class ChangeProfile(Command):
    """Change what others see."""

    name: Name


class UserView(BaseModel):
    """An account as its owner sees it."""

    user_id: UUID
    email: str
    name: str


class TokenView(BaseModel):
    """RFC 6749's access token response."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 -- the scheme's name
    expires_in: int


class UsersApi(Api):
    """The resource /api/v1/users."""

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        passwords: Passwords,
        signer: TokenSigner,
        clock: Clock,
        *,
        token_lifetime: timedelta,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._passwords = passwords
        self._signer = signer
        self._clock = clock
        self._lifetime = token_lifetime

    @post("/api/v1/users", status=201)
    async def register(self, body: RegisterUser, tx: Transaction) -> UserView:
        """Open an account."""
        account = Account(
            user_id=uuid7(),
            email=normalise_email(body.email),
            name=body.name,
            password_hash=await self._passwords.hash(body.password.get_secret_value()),
            roles=(),
            created_at=self._clock.now(),
        )
        if not await self._accounts.add(tx, account):
            raise Problem(409, "email-taken", "There is an account with this e-mail address; sign in instead.")
        tx.publish(UserRegistered(user_id=account.user_id, email=account.email, name=account.name))
        return _view(account)

    @post("/api/v1/users/tokens")
    async def sign_in(self, body: SignIn) -> TokenView:
        """Sign in: exchange e-mail and password for an access token."""
        account = await self._accounts.by_email(normalise_email(body.email))
        stored = account.password_hash if account else None
        if not await self._passwords.verify(stored, body.password.get_secret_value()) or account is None:
            raise Problem(401, "wrong-credentials", "E-mail address or password is wrong.")
        now = self._clock.now()
        session_id = str(uuid7())
        await self._sessions.start(session_id, account.user_id, now=now, expires=now + self._lifetime)
        token = self._signer.token(
            account.user_id, account.email, account.roles, session_id=session_id, lifetime=self._lifetime
        )
        return TokenView(access_token=token, expires_in=int(self._lifetime.total_seconds()))

    @delete("/api/v1/users/tokens/current")
    async def sign_out(self, caller: Caller) -> None:
        """Sign out: end the session of the token."""
        await self._sessions.end(caller.session_id)

    @get("/api/v1/users/me")
    async def me(self, caller: Caller) -> UserView:
        """Show one's own profile."""
        await self._signed_in(caller)
        account = await self._accounts.by_id(caller.user_id)
        if account is None:
            raise Problem(404, "not-found", "This account does not exist any more.")
        return _view(account)

    @patch("/api/v1/users/me")
    async def change(self, body: ChangeProfile, caller: Caller, tx: Transaction) -> UserView:
        """Change one's own profile."""
        await self._signed_in(caller)
        before = await self._accounts.rename(tx, caller.user_id, body.name)
        if before is None:
            raise Problem(404, "not-found", "This account does not exist any more.")
        tx.publish(UserProfileChanged(user_id=before.user_id, email=before.email, name=body.name))
        return UserView(user_id=before.user_id, email=before.email, name=body.name)

    @get("/.well-known/jwks.json")
    async def jwks(self) -> web.Response:
        """Publish the keys that verify tokens (RFC 7517)."""
        return web.json_response(self._signer.jwks(), headers={"Cache-Control": "public, max-age=300"})

    async def _signed_in(self, caller: Caller) -> None:
        if not await self._sessions.alive(caller.session_id):
            raise Problem(401, "signed-out", "This session has ended; sign in again.")


def _view(account: Account) -> UserView:
    return UserView(user_id=account.user_id, email=account.email, name=account.name)
