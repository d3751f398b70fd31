"""Signed messages of the provider: `Provider-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">`."""

import hmac
from hashlib import sha256

HEADER = "Provider-Signature"


def sign(secret: str, body: bytes, *, at: int) -> str:
    """Return the header's value."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, sha256).hexdigest()
    return f"t={at},v1={digest}"


def is_signed(secret: str, body: bytes, header: str, *, now: int, tolerance_seconds: int) -> bool:
    """Return whether the signature is right and fresh; takes the same time for every wrong one."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    at = parts.get("t", "")
    if not at.isascii() or not at.isdigit():
        return False
    expected = sign(secret, body, at=int(at))
    right = hmac.compare_digest(expected.encode(), f"t={at},v1={parts.get('v1', '')}".encode())
    return right and abs(now - int(at)) <= tolerance_seconds
