"""DynamoDB's JSON protocol over one connection pool.

aiobotocore's client spends 0.7 ms of CPU on a call, most of it on endpoint rules, hooks and shape-driven parsing that
this protocol does not need. Credentials and endpoint are still aiobotocore's. Decision record 0005 has the figures.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import aiohttp
import orjson
from aiohttp.hdrs import ACCEPT_ENCODING, USER_AGENT
from botocore.exceptions import ClientError

from corelib.aws import Aws, backoff
from corelib.dynamo.signing import Signer
from corelib.errors import Unavailable
from corelib.metrics import DYNAMODB_CALLS

_ATTEMPTS = 3
_TIMEOUT = aiohttp.ClientTimeout(total=5, connect=2)
_CONNECTIONS = 64
_OK = 200
_SERVER_FAULT = 500
_PASSING = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)


class Wire:
    """Calls operations by their names in the protocol, e.g. "GetItem"."""

    def __init__(self, aws: Aws, url: str, session: aiohttp.ClientSession) -> None:
        self._aws = aws
        self._url = url
        self._session = session
        self._signer = Signer(url, aws.region)

    async def call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return the answer. Raises `ClientError` when refused, `Unavailable` when there is no answer.

        What may pass is tried again with the same bytes, so a transaction keeps its client token: if the lost answer
        was to a commit, the repetition is answered as the first time and commits nothing more.
        """
        body = orjson.dumps(params)
        failure = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await backoff(attempt)
            try:
                status, answer = await self._once(operation, body)
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
        raise Unavailable("dynamodb", failure)

    async def _once(self, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
        DYNAMODB_CALLS.labels(operation).inc()
        headers = self._signer.headers(operation, body, await self._aws.credentials(), datetime.now(UTC))
        async with self._session.post(self._url, data=body, headers=headers) as response:
            raw = await response.read()
            checksum = response.headers.get("x-amz-crc32")
            if checksum is not None and int(checksum) != crc32(raw):
                raise aiohttp.ClientPayloadError("the answer's checksum is wrong")
            answer: dict[str, Any] = orjson.loads(raw) if response.status < _SERVER_FAULT else {}
            return response.status, answer


@asynccontextmanager
async def opened(aws: Aws) -> AsyncIterator[Wire]:
    """Open a connection pool for as long as the block lasts."""
    # With no endpoint given, botocore's rules know it: partition, FIPS, dual stack, environment.
    url = aws.endpoint_url or (await aws.client("dynamodb")).meta.endpoint_url
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=_TIMEOUT,
        headers={USER_AGENT: "souk-corelib"},
        # The checksum is of the bytes as sent, so they are asked for as they are.
        skip_auto_headers={ACCEPT_ENCODING},
    ) as session:
        yield Wire(aws, f"{url.rstrip('/')}/", session)


def _refusal(operation: str, status: int, answer: dict[str, Any]) -> ClientError:
    code = str(answer.get("__type", f"Http{status}")).rsplit("#", 1)[-1]
    message = str(answer.get("message") or answer.get("Message") or "")
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
        "CancellationReasons": answer.get("CancellationReasons", []),
    }
    return ClientError(response, operation)
