"""Accounts in PostgreSQL (table `account`)."""

from uuid import UUID

import asyncpg

from corelib.postgres.store import Postgres
from corelib.postgres.transaction import sql
from corelib.transaction import Transaction
from svc_user.domain import Account

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


class SqlAccounts:
    """Implements `Accounts`: reads from the pool, writes within a transaction."""

    def __init__(self, db: Postgres) -> None:
        self._db = db

    async def add(self, tx: Transaction, account: Account) -> bool:
        """Store a new account; False when its address is taken."""
        return bool(
            await sql(tx).fetchval(
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

    async def rename(self, tx: Transaction, user_id: UUID, name: str) -> Account | None:
        """Change the name; return the account before the change."""
        before = _account(await sql(tx).fetchrow(_LOCK, user_id))
        if before is not None:
            await sql(tx).execute(_RENAME, user_id, name)
        return before


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
