"""Accounts in PostgreSQL (table `account`) and sessions in DynamoDB (table `sessions`)."""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from corelib.aws import Aws
from corelib.dynamo.client import Client
from corelib.dynamo.documents import Documents
from corelib.dynamo.tables import Catalog, Table, provision
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from svc_user.domain import Account

SESSIONS = Table("sessions", key="session_id", ttl="expires_at")

MIGRATIONS = (
    """
    CREATE TABLE IF NOT EXISTS account (
        user_id uuid PRIMARY KEY,
        email text NOT NULL UNIQUE,
        name text NOT NULL,
        password_hash text NOT NULL,
        roles text[] NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL
    )
    """,
)

# -- insert_account -- no row back means that the address is taken.
_INSERT = """
INSERT INTO account (user_id, email, name, password_hash, roles, created_at)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (email) DO NOTHING RETURNING 1
"""
# -- account_by_email --
_BY_EMAIL = "SELECT * FROM account WHERE email = $1"
# -- account_by_id --
_BY_ID = "SELECT * FROM account WHERE user_id = $1"
# -- lock_account --
_LOCK = "SELECT * FROM account WHERE user_id = $1 FOR UPDATE"
# -- rename_account --
_RENAME = "UPDATE account SET name = $2 WHERE user_id = $1"


class Accounts:
    """Reads from the pool, writes within a transaction."""

    def __init__(self, db: Postgres) -> None:
        self._db = db

    async def add(self, tx: PostgresTransaction, account: Account) -> bool:
        """Store a new account; False when its address is taken."""
        return bool(
            await tx.fetchval(
                _INSERT,
                account.user_id,
                account.email,
                account.name,
                account.password_hash,
                list(account.roles),
                account.created_at,
            )
        )

    async def by_email(self, email: str) -> Account | None:
        """Return the account with an address."""
        return _account(await self._db.fetchrow(_BY_EMAIL, email))

    async def by_id(self, user_id: UUID) -> Account | None:
        """Return the account with an id."""
        return _account(await self._db.fetchrow(_BY_ID, user_id))

    async def rename(self, tx: PostgresTransaction, user_id: UUID, name: str) -> Account | None:
        """Change the name; return the account before the change."""
        before = _account(await tx.fetchrow(_LOCK, user_id))
        if before is not None:
            await tx.execute(_RENAME, user_id, name)
        return before


class Sessions:
    """Who is signed in; rows vanish when their token ends."""

    name = "sessions"

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._client = Client(aws)
        self._documents = Documents(self._client, Catalog(aws.prefix, [SESSIONS]))

    async def provision(self) -> None:
        """Create the table where it is missing."""
        await provision(self._client, SESSIONS)

    async def open(self) -> None:
        """Connect."""
        await self._aws.open()

    async def close(self) -> None:
        """Disconnect."""
        await self._aws.close()

    async def check(self) -> None:
        """Raise `Unavailable` unless the table answers."""
        await self._documents.get(SESSIONS, {"session_id": "check"})

    async def start(self, session_id: str, user_id: UUID, *, now: datetime, expires: datetime) -> None:
        """Remember a session."""
        item: dict[str, Any] = {
            "session_id": session_id,
            "user_id": str(user_id),
            "started_at": now.isoformat(),
            "expires_at": int(expires.timestamp()),
        }
        await self._documents.put(SESSIONS, item)

    async def alive(self, session_id: str) -> bool:
        """Return whether a session was started and not ended."""
        return await self._documents.get(SESSIONS, {"session_id": session_id}) is not None

    async def end(self, session_id: str) -> None:
        """Forget a session."""
        await self._documents.delete(SESSIONS, {"session_id": session_id})


def _account(row: asyncpg.Record | None) -> Account | None:
    if row is None:
        return None
    return Account(
        user_id=row["user_id"],
        email=row["email"],
        name=row["name"],
        password_hash=row["password_hash"],
        roles=tuple(row["roles"]),
        created_at=row["created_at"],
    )
