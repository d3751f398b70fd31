"""Our signature is botocore's, whatever the request."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from corelib.aws.signing import Signer
from corelib.aws.wire import DYNAMODB, SQS, Protocol

REGION = "ap-south-1"
NOW = datetime(2026, 2, 28, 23, 59, 58, tzinfo=UTC)


def botocores(url: str, body: bytes, credentials: Credentials, now: datetime, *, protocol: Protocol) -> str:
    headers = {
        "X-Amz-Target": f"{protocol.target}.GetItem",
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Date": now.strftime("%Y%m%dT%H%M%SZ"),
    }
    if credentials.token:
        headers["X-Amz-Security-Token"] = credentials.token
    request = AWSRequest("POST", url, headers, body)
    request.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(credentials, protocol.signed_as, REGION)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    names = signer.signed_headers(signer.headers_to_sign(request))
    signature = signer.signature(text, request)
    return f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={names}, Signature={signature}"


@pytest.mark.parametrize("protocol", [DYNAMODB, SQS])
@pytest.mark.parametrize("token", [None, "session-token"])
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:4566/", "https://dynamodb.ap-south-1.amazonaws.com/", "https://example.com:443/"]
)
@given(body=st.binary(max_size=200), secret=st.text(min_size=1, max_size=40), days=st.integers(0, 20_000))
def test_the_signature_is_botocores(
    *, url: str, token: str | None, protocol: Protocol, body: bytes, secret: str, days: int
) -> None:
    credentials = Credentials("AKIDEXAMPLE", secret, token)
    now = NOW + timedelta(days=days)
    signer = Signer(url, REGION, service=protocol.signed_as, target=protocol.target)
    ours = signer.headers("GetItem", body, credentials, now)
    assert ours["authorization"] == botocores(url, body, credentials, now, protocol=protocol)
