"""AWS clients, opened once and shared, and an S3 bucket as a resource of a service."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from corelib.addresses import Url, require
from corelib.aws.trouble import code_of, reaching
from corelib.errors import Unavailable

T = TypeVar("T")

_BACKOFF_SECONDS = 0.025


class Aws:
    """Opens each AWS client at its first use and keeps it; `open` and `close` are counted by its users."""

    def __init__(
        self,
        region: str = "ap-south-1",
        endpoint_url: str | None = None,
        prefix: str = "souk-",
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
    ) -> None:
        if endpoint_url is not None:
            require(Url, "endpoint_url", endpoint_url)
        self.region = region
        self.endpoint_url = endpoint_url
        self.prefix = prefix
        self._keys = (access_key_id, secret_access_key)
        self._credentials: Any = None
        self._shared: dict[str, Any] = {}
        self._stack = AsyncExitStack()
        self._opening: dict[str, asyncio.Lock] = {}
        self._users = 0

    @cached_property
    def _session(self) -> Any:
        # A third of a service's import time, for what only an account in use needs.
        from aiobotocore.session import get_session  # noqa: PLC0415 -- see above

        session = get_session()
        if all(self._keys):
            session.set_credentials(*self._keys)
        return session

    async def client(self, service: str) -> Any:
        """Return the open client of a service, e.g. "s3"."""
        return await self.shared(service, lambda: self._create(service))

    async def shared(self, name: str, opener: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """Return what an opener opens, opened once and closed with everything else."""
        if name not in self._shared:
            async with self._opening.setdefault(name, asyncio.Lock()):
                if name not in self._shared:
                    self._shared[name] = await self._stack.enter_async_context(opener())
        found: T = self._shared[name]
        return found

    async def credentials(self) -> Any:
        """Return credentials that are good now. Raises `Unavailable` when there are none."""
        try:
            if self._credentials is None:
                self._credentials = await self._session.get_credentials()
            if self._credentials is None:
                raise Unavailable(
                    "aws", "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a role"
                )
            return await self._credentials.get_frozen_credentials()
        except (BotoCoreError, ClientError) as error:
            raise Unavailable("aws", f"no credentials: {error}") from error

    async def open(self) -> None:
        """Count one more user."""
        self._users += 1

    async def close(self) -> None:
        """Count one user less; the last one closes every client."""
        self._users = max(0, self._users - 1)
        if self._users == 0:
            self._shared.clear()
            await self._stack.aclose()

    def _create(self, service: str) -> Any:
        from aiobotocore.config import AioConfig  # noqa: PLC0415 -- as the session

        return self._session.create_client(
            service,
            region_name=self.region,
            endpoint_url=self.endpoint_url,
            config=AioConfig(
                # Building the agent and validating parameters cost CPU on every call; the server validates anyway.
                user_agent="souk-corelib",
                parameter_validation=False,
                connect_timeout=2,
                read_timeout=5,
                max_pool_connections=64,
                # Repeats the same bytes, so a transaction keeps its client token and is never doubled.
                retries={"mode": "standard", "total_max_attempts": 3},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "path" if self.endpoint_url else "auto"},
            ),
        )


async def backoff(attempt: int) -> None:
    """Wait a full-jitter exponential pause (AWS Architecture Blog, "Exponential Backoff And Jitter")."""
    await asyncio.sleep(random.uniform(0, _BACKOFF_SECONDS * 2**attempt))  # noqa: S311 -- jitter, not cryptography


class Bucket:
    """An S3 bucket named `{aws.prefix}{name}`."""

    def __init__(self, aws: Aws, name: str) -> None:
        self.aws = aws
        self.name = f"{aws.prefix}{name}"

    async def open(self) -> None:
        """Connect."""
        await self.aws.open()
        await self.aws.client("s3")

    async def close(self) -> None:
        """Disconnect."""
        await self.aws.close()

    async def check(self) -> None:
        """Raise `Unavailable` unless the bucket answers."""
        try:
            await self._call("head_bucket")
        except ClientError as error:
            raise Unavailable("s3", f"bucket {self.name}: {error}") from error

    async def provision(self) -> None:
        """Create the bucket where it is missing; idempotent."""
        # us-east-1 is S3's unnamed default and refuses to be named.
        place = {} if self.aws.region == "us-east-1" else {"LocationConstraint": self.aws.region}
        extra = {"CreateBucketConfiguration": place} if place else {}
        try:
            await self._call("create_bucket", **extra)
        except ClientError as error:
            if code_of(error) not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                raise

    async def put(self, key: str, body: bytes, *, content_type: str = "application/octet-stream") -> None:
        """Store an object. Raises `Unavailable`."""
        await self._call("put_object", Key=key, Body=body, ContentType=content_type)

    async def get(self, key: str) -> bytes | None:
        """Return an object's bytes, None when there is none. Raises `Unavailable`."""
        try:
            answer = await self._call("get_object", Key=key)
        except ClientError as error:
            if code_of(error) in {"NoSuchKey", "404"}:
                return None
            raise
        with reaching("s3"):
            async with answer["Body"] as stream:
                return bytes(await stream.read())

    async def presigned_put(self, key: str, *, content_type: str, expires: timedelta = timedelta(minutes=15)) -> str:
        """Return a URL that takes one upload of this content type until it expires."""
        return await self._presigned("put_object", expires, Key=key, ContentType=content_type)

    async def presigned_get(self, key: str, *, expires: timedelta = timedelta(minutes=15)) -> str:
        """Return a URL that gives the object until it expires."""
        return await self._presigned("get_object", expires, Key=key)

    async def _presigned(self, operation: str, expires: timedelta, **params: str) -> str:
        client = await self.aws.client("s3")
        url = await client.generate_presigned_url(
            operation, Params={"Bucket": self.name, **params}, ExpiresIn=int(expires.total_seconds())
        )
        return str(url)

    async def _call(self, operation: str, **params: Any) -> Any:
        with reaching("s3"):
            client = await self.aws.client("s3")
            return await getattr(client, operation)(Bucket=self.name, **params)
