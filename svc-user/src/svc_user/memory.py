"""Accounts as documents in memory, with a document for each address, so that it is taken once."""

from datetime import datetime
from uuid import UUID

from corelib.documents import Item, Table, Tables, documents
from corelib.transaction import Transaction
from svc_user.domain import Account
from svc_user.store import SESSIONS

ACCOUNTS = Table("accounts", key="user_id")
ADDRESSES = Table("addresses", key="email")
TABLES = (ACCOUNTS, ADDRESSES, SESSIONS)


class MemoryAccounts:
    """Implements `Accounts`."""

    def __init__(self, db: Tables) -> None:
        self._db = db

    async def add(self, tx: Transaction, account: Account) -> bool:
        """Store a new account; False when its address is taken."""
        if await documents(tx).get(ADDRESSES, {"email": account.email}) is not None:
            return False
        documents(tx).put(ADDRESSES, {"email": account.email, "user_id": str(account.user_id)})
        documents(tx).put(ACCOUNTS, _item(account))
        return True

    async def by_email(self, email: str) -> Account | None:
        """Return the account with an address."""
        address = await self._db.get(ADDRESSES, {"email": email})
        return await self.by_id(UUID(address["user_id"])) if address else None

    async def by_id(self, user_id: UUID) -> Account | None:
        """Return the account with an id."""
        return _account(await self._db.get(ACCOUNTS, {"user_id": str(user_id)}))

    async def rename(self, tx: Transaction, user_id: UUID, name: str) -> Account | None:
        """Change the name; return the account before the change."""
        item = await documents(tx).get(ACCOUNTS, {"user_id": str(user_id)})
        if item is not None:
            documents(tx).put(ACCOUNTS, {**item, "name": name})
        return _account(item)


def _item(account: Account) -> Item:
    return {
        "user_id": str(account.user_id),
        "email": account.email,
        "name": account.name,
        "password_hash": account.password_hash,
        "roles": list(account.roles),
        "created_at": account.created_at.isoformat(),
    }


def _account(item: Item | None) -> Account | None:
    if item is None:
        return None
    return Account(
        user_id=UUID(item["user_id"]),
        email=item["email"],
        name=item["name"],
        password_hash=item["password_hash"],
        roles=tuple(item["roles"]),
        created_at=datetime.fromisoformat(item["created_at"]),
    )
