"""AWS's JSON protocol over one connection pool, for what is called often: DynamoDB, its Streams, SQS.

aiobotocore's client spends 0.7 ms of CPU on a call, most of it on endpoint rules, hooks and shape-driven parsing that
this protocol does not need. Credentials and endpoint are still aiobotocore's. Decision record 0005 has the figures.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any
from zlib import crc32

import aiohttp
import orjson
from aiohttp.hdrs import ACCEPT_ENCODING, DATE, USER_AGENT
from botocore.exceptions import ClientError

from corelib.aws.clients import Aws, backoff
from corelib.aws.signing import Signer
from corelib.errors import Unavailable
from corelib.metrics import AWS_CALLS

_ATTEMPTS = 3
_SECONDS = 5.0
_TIMEOUT = aiohttp.ClientTimeout(total=_SECONDS, connect=2)
_CONNECTIONS = 64
_LARGE_BYTES = 1 << 20
_OK = 200
_SERVER_FAULT = 500
_PASSING = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)


@dataclass(frozen=True)
class Protocol:
    """A service as this protocol names it: for endpoint rules, in a signature, and in the header of each call."""

    client: str
    signed_as: str
    target: str


DYNAMODB = Protocol("dynamodb", "dynamodb", "DynamoDB_20120810")
STREAMS = Protocol("dynamodbstreams", "dynamodb", "DynamoDBStreams_20120810")
SQS = Protocol("sqs", "sqs", "AmazonSQS")


class Wire:
    """Calls operations by their names in the protocol, e.g. "GetItem"."""

    def __init__(self, aws: Aws, url: str, session: aiohttp.ClientSession, protocol: Protocol) -> None:
        self._aws = aws
        self._url = url
        self._session = session
        self._service = protocol.client
        self._told: tuple[str, float] | None = None
        self._signer = Signer(url, aws.region, service=protocol.signed_as, target=protocol.target)

    def server_time(self) -> datetime | None:
        """Return the time by the service's own clock, to a second; None before its first answer."""
        if self._told is None:
            return None
        date, at = self._told
        return parsedate_to_datetime(date) + timedelta(seconds=asyncio.get_running_loop().time() - at)

    async def call(self, operation: str, params: dict[str, Any], *, patience_seconds: float = 0.0) -> dict[str, Any]:
        """Return the answer. Raises `ClientError` when refused, `Unavailable` when there is no answer.

        `patience_seconds` is how long the service was asked to wait for something before it answers.

        What may pass is tried again with the same bytes, so a transaction keeps its client token: if the lost answer
        was to a commit, the repetition is answered as the first time and commits nothing more.
        """
        body = orjson.dumps(params)
        failure = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await backoff(attempt)
            try:
                status, answer = await self._once(operation, body, patience_seconds)
            except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
                failure = f"{operation}: {type(error).__name__} {error}"
                continue
            if status == _OK:
                return answer
            refusal = _refusal(operation, status, answer)
            code = refusal.response["Error"]["Code"]
            if status < _SERVER_FAULT and code not in _PASSING:
                raise refusal
            failure = str(refusal)
        raise Unavailable(self._service, failure)

    async def _once(self, operation: str, body: bytes, patience_seconds: float) -> tuple[int, dict[str, Any]]:
        AWS_CALLS.labels(self._service, operation).inc()
        headers = self._signer.headers(operation, body, await self._aws.credentials(), datetime.now(UTC))
        timeout = _timeout(patience_seconds) if patience_seconds else _TIMEOUT
        # As a file it is sent in pieces, between which others have their turn.
        data = body if len(body) <= _LARGE_BYTES else BytesIO(body)
        async with self._session.post(self._url, data=data, headers=headers, timeout=timeout) as response:
            if (date := response.headers.get(DATE)) is not None:
                self._told = (date, asyncio.get_running_loop().time())
            raw = await response.read()
            checksum = response.headers.get("x-amz-crc32")
            if checksum is not None and int(checksum) != crc32(raw):
                raise aiohttp.ClientPayloadError("the answer's checksum is wrong")
            answer: dict[str, Any] = orjson.loads(raw) if raw and response.status < _SERVER_FAULT else {}
            return response.status, answer


async def wire(aws: Aws, protocol: Protocol) -> Wire:
    """Return the open connection pool of a service; opened at the first use, closed with `aws`."""
    return await aws.shared(f"{protocol.client}-wire", lambda: _opened(aws, protocol))


@asynccontextmanager
async def _opened(aws: Aws, protocol: Protocol) -> AsyncIterator[Wire]:
    # With no endpoint given, botocore's rules know it: partition, FIPS, dual stack, environment.
    url = aws.endpoint_url or (await aws.client(protocol.client)).meta.endpoint_url
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
    async with aiohttp.ClientSession(
        connector=connector,
        headers={USER_AGENT: "souk-corelib"},
        # The checksum is of the bytes as sent, so they are asked for as they are.
        skip_auto_headers={ACCEPT_ENCODING},
    ) as session:
        yield Wire(aws, f"{url.rstrip('/')}/", session, protocol)


def _timeout(patience_seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=_SECONDS + patience_seconds, connect=2)


def _refusal(operation: str, status: int, answer: dict[str, Any]) -> ClientError:
    code = str(answer.get("__type", f"Http{status}")).rsplit("#", 1)[-1]
    message = str(answer.get("message") or answer.get("Message") or "")
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
        "CancellationReasons": answer.get("CancellationReasons", []),
        "Item": answer.get("Item"),
    }
    return ClientError(response, operation)
