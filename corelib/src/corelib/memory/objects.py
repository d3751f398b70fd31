"""Objects in memory, and the endpoint that stands in for S3 where a client puts or gets them itself."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_urlsafe

from aiohttp import web

from corelib.api import Api, get, put
from corelib.clock import Clock
from corelib.errors import Problem


class MemoryObjects:
    """Implements `Objects`."""

    def __init__(self, name: str, urls: "SignedUrls") -> None:
        self.name = name
        self.bodies: dict[str, tuple[bytes, str]] = {}
        self._urls = urls

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def put(self, key: str, body: bytes, *, content_type: str = "application/octet-stream") -> None:
        """Store an object."""
        self.bodies[key] = (body, content_type)

    async def get(self, key: str) -> bytes | None:
        """Return an object's bytes, None when there is none."""
        return self.bodies[key][0] if key in self.bodies else None

    async def presigned_put(self, key: str, *, content_type: str, expires: timedelta = timedelta(minutes=15)) -> str:
        """Return a URL that takes uploads of this content type until it expires."""
        return self._urls.sign("PUT", self, key, expires, content_type)

    async def presigned_get(self, key: str, *, expires: timedelta = timedelta(minutes=15)) -> str:
        """Return a URL that gives the object until it expires."""
        return self._urls.sign("GET", self, key, expires)


@dataclass(frozen=True)
class _Permit:
    """What a URL allows."""

    method: str
    objects: MemoryObjects
    key: str
    content_type: str
    until: datetime


class SignedUrls(Api):
    """Makes URLs of this service that allow one thing for a while, and serves them."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._permits: dict[str, _Permit] = {}

    def sign(self, method: str, objects: MemoryObjects, key: str, expires: timedelta, content_type: str = "") -> str:
        """Return a URL that allows a method on an object until it expires."""
        signature = token_urlsafe()
        self._permits[signature] = _Permit(method, objects, key, content_type, self._clock.now() + expires)
        return f"{self._url}/in-memory/objects/{signature}"

    @put("/in-memory/objects/{signature}")
    async def upload(self, signature: str, request: web.Request) -> web.Response:
        """Store an object, as S3 does by a presigned URL."""
        permit = self._permit("PUT", signature)
        if request.content_type != permit.content_type:
            raise Problem(403, "signature-mismatch", f"The URL was signed for Content-Type: {permit.content_type}.")
        await permit.objects.put(permit.key, await request.content.read(), content_type=permit.content_type)
        return web.Response()

    @get("/in-memory/objects/{signature}")
    async def download(self, signature: str) -> web.Response:
        """Give an object, as S3 does by a presigned URL."""
        permit = self._permit("GET", signature)
        if permit.key not in permit.objects.bodies:
            raise Problem(404, "no-such-object", f"There is no object {permit.key}.")
        body, content_type = permit.objects.bodies[permit.key]
        return web.Response(body=body, headers={"Content-Type": content_type})

    def _permit(self, method: str, signature: str) -> _Permit:
        permit = self._permits.get(signature)
        if permit is None or permit.method != method or permit.until < self._clock.now():
            raise Problem(403, "signature-mismatch", "This URL is not signed for that, or it has expired.")
        return permit
