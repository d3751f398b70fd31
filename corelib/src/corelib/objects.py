"""What the framework asks of an object store: S3 has it, and memory."""

from datetime import timedelta
from typing import Protocol


class Objects(Protocol):
    """Objects by key, and URLs by which a client puts and gets them itself. Also a resource of a service."""

    name: str

    async def open(self) -> None:
        """Connect."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...

    async def put(self, key: str, body: bytes, *, content_type: str = "application/octet-stream") -> None:
        """Store an object. Raises `Unavailable`."""
        ...

    async def get(self, key: str) -> bytes | None:
        """Return an object's bytes, None when there is none. Raises `Unavailable`."""
        ...

    async def presigned_put(self, key: str, *, content_type: str, expires: timedelta = timedelta(minutes=15)) -> str:
        """Return a URL that takes uploads of this content type until it expires."""
        ...

    async def presigned_get(self, key: str, *, expires: timedelta = timedelta(minutes=15)) -> str:
        """Return a URL that gives the object until it expires."""
        ...
