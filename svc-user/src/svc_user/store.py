"""What the service keeps: accounts (in `postgres`, or `memory`), and sessions as documents (in `dynamo`, or memory)."""

from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from corelib.documents import Table, Tables
from corelib.transaction import Transaction
from svc_user.domain import Account

SESSIONS = Table("sessions", key="session_id", ttl="expires_at")


class Accounts(Protocol):
    """Reads at once, writes within a transaction."""

    async def add(self, tx: Transaction, account: Account) -> bool:
        """Store a new account; False when its address is taken."""
        ...

    async def by_email(self, email: str) -> Account | None:
        """Return the account with an address."""
        ...

    async def by_id(self, user_id: UUID) -> Account | None:
        """Return the account with an id."""
        ...

    async def rename(self, tx: Transaction, user_id: UUID, name: str) -> Account | None:
        """Change the name; return the account before the change."""
        ...


class Sessions:
    """Who is signed in; on DynamoDB rows vanish when their token ends."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def start(self, session_id: str, user_id: UUID, *, now: datetime, expires: datetime) -> None:
        """Remember a session."""
        item: dict[str, Any] = {
            "session_id": session_id,
            "user_id": str(user_id),
            "started_at": now.isoformat(),
            "expires_at": int(expires.timestamp()),
        }
        await self._tables.put(SESSIONS, item)

    async def alive(self, session_id: str) -> bool:
        """Return whether a session was started and not ended."""
        return await self._tables.get(SESSIONS, {"session_id": session_id}) is not None

    async def end(self, session_id: str) -> None:
        """Forget a session."""
        await self._tables.delete(SESSIONS, {"session_id": session_id})
