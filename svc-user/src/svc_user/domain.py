"""The rules of accounts: pure."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class Account:
    """A user: `password_hash` is an argon2id string, `email` is normalised."""

    user_id: UUID
    email: str
    name: str
    password_hash: str
    roles: tuple[str, ...]
    created_at: datetime


def normalise_email(raw: str) -> str:
    """Return the form under which an address is unique: composed and case-folded."""
    return unicodedata.normalize("NFC", raw).strip().casefold()
