"""Who is calling: EdDSA JWTs (RFC 8037) checked against the issuer's published keys (JWKS, RFC 7517)."""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import OKPAlgorithm

from corelib.errors import Problem, Unavailable
from corelib.http_client import HttpClient

ISSUER = AUDIENCE = "souk"
_CACHED_TOKENS = 10_000
_REFRESH_SECONDS = 5.0
_OK = 200


@dataclass(frozen=True)
class Caller:
    """The account that a valid token speaks for."""

    user_id: UUID
    email: str
    roles: frozenset[str]
    session_id: str
    expires: float


class TokenSigner:
    """Signs tokens with an Ed25519 key in PEM, which only their issuer has."""

    def __init__(self, private_pem: bytes, *, issuer: str = ISSUER, audience: str = AUDIENCE) -> None:
        key = load_pem_private_key(private_pem, password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError("the signing key must be an Ed25519 private key in PEM")
        self._key = key
        self._names = {"iss": issuer, "aud": audience}
        self._public: dict[str, Any] = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        self._kid = sha256(str(self._public["x"]).encode()).hexdigest()[:16]

    def token(self, user_id: UUID, email: str, roles: Sequence[str], *, session_id: str, lifetime: timedelta) -> str:
        """Return a signed token that ends after `lifetime`."""
        now = int(time.time())
        claims = {
            **self._names,
            "sub": str(user_id),
            "email": email,
            "roles": list(roles),
            "sid": session_id,
            "iat": now,
            "exp": now + int(lifetime.total_seconds()),
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self._kid})

    def jwks(self) -> dict[str, Any]:
        """Return the public key as a JWK set."""
        return {"keys": [{**self._public, "kid": self._kid, "use": "sig", "alg": "EdDSA"}]}


def new_key() -> bytes:
    """Return a fresh private key for a `TokenSigner`, in PEM."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Keys(Protocol):
    """Finds the public key that a token names."""

    async def find(self, kid: str) -> Ed25519PublicKey | None:
        """Return the key, or None when the issuer has no such key. Raises `Unavailable`."""
        ...


class PublishedKeys:
    """The issuer's keys, fetched when an unknown one is named, at most every five seconds."""

    name = "jwks"

    def __init__(self, jwks_url: str) -> None:
        scheme, server, *_ = urlsplit(jwks_url)
        base = f"{scheme}://{server}"
        self._client = HttpClient("jwks", base, deadline=timedelta(seconds=3))
        self._path = jwks_url.removeprefix(base)
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._fetched = 0.0

    async def open(self) -> None:
        """Connect on the first use."""
        await self._client.open()

    async def close(self) -> None:
        """Disconnect."""
        await self._client.close()

    async def find(self, kid: str) -> Ed25519PublicKey | None:
        """Return the key, or None when the issuer has no such key. Raises `Unavailable`."""
        if kid not in self._keys and time.monotonic() - self._fetched > _REFRESH_SECONDS:
            answer = await self._client.request("GET", self._path)
            if answer.status != _OK:
                raise Unavailable(self.name, f"the issuer's keys are not at {self._path}: answered {answer.status}")
            self._keys, self._fetched = keys_of(answer.json()), time.monotonic()
        return self._keys.get(kid)


class FixedKeys:
    """Keys known from the start: for the issuer itself, and for tests."""

    name = "keys"

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._keys = keys_of(jwks)

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def find(self, kid: str) -> Ed25519PublicKey | None:
        """Return the key, or None."""
        return self._keys.get(kid)


class Authenticator:
    """Turns an Authorization header into a `Caller`; verified tokens are remembered until they end.

    Tokens must be of this issuer, for this audience (RFC 7519, `iss` and `aud`).
    """

    def __init__(self, keys: Keys, *, issuer: str = ISSUER, audience: str = AUDIENCE) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._verified: OrderedDict[str, Caller] = OrderedDict()

    async def caller(self, authorization: str | None) -> Caller:
        """Return who calls. Raises `Problem` 401, or `Unavailable` when the keys cannot be had."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise self._unauthorized("Send a token: Authorization: Bearer <token>.")
        known = self._verified.get(token)
        if known is not None and known.expires > time.time():
            return known
        caller = await self._verify(token)
        self._verified[token] = caller
        if len(self._verified) > _CACHED_TOKENS:
            self._verified.popitem(last=False)
        return caller

    async def _verify(self, token: str) -> Caller:
        try:
            kid = str(jwt.get_unverified_header(token).get("kid", ""))
            key = await self._keys.find(kid)
            if key is None:
                raise self._refused("The token is signed with a key that its issuer does not publish.")
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=self._audience,
                issuer=self._issuer,
                options={"require": ["exp", "sub", "iat"]},
            )
            return Caller(
                user_id=UUID(claims["sub"]),
                email=str(claims.get("email", "")),
                roles=frozenset(claims.get("roles", ())),
                session_id=str(claims.get("sid", "")),
                expires=float(claims["exp"]),
            )
        except jwt.ExpiredSignatureError as error:
            raise self._refused("The token has ended: get a new one.") from error
        except (jwt.InvalidTokenError, ValueError) as error:
            raise self._refused("The token is not valid.") from error

    def _refused(self, detail: str) -> Problem:
        return self._unauthorized(detail, ', error="invalid_token"')

    def _unauthorized(self, detail: str, error: str = "") -> Problem:
        """Return 401 with its challenge: an `error` is only for who sent a token (RFC 6750, 3.1)."""
        problem = Problem(401, "unauthorized", detail)
        problem.headers["WWW-Authenticate"] = f'Bearer realm="{self._issuer}"{error}'
        return problem


def keys_of(jwks: Mapping[str, Any]) -> dict[str, Ed25519PublicKey]:
    """Return the Ed25519 keys of a JWK set by their id; an issuer may publish others beside them."""
    found: dict[str, Ed25519PublicKey] = {}
    for entry in jwks.get("keys", ()):
        if entry.get("crv") != "Ed25519" or "kid" not in entry:
            continue
        key = OKPAlgorithm.from_jwk(dict(entry))
        if isinstance(key, Ed25519PublicKey):
            found[str(entry["kid"])] = key
    return found
