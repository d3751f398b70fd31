"""The first admin: an account that exists from the start, so that someone can fill the shelves."""

from corelib.clock import Clock
from corelib.ids import uuid7
from corelib.once import run_once
from corelib.store import Store
from corelib.transaction import Transaction
from svc_user.domain import Account, normalise_email
from svc_user.passwords import Passwords
from svc_user.store import Accounts


class FirstAdmin:
    """A resource that makes the account when the service opens; one that exists is left alone."""

    name = "first-admin"

    def __init__(
        self, db: Store, accounts: Accounts, passwords: Passwords, clock: Clock, *, email: str, password: str
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._passwords = passwords
        self._clock = clock
        self._email = normalise_email(email)
        self._password = password

    async def open(self) -> None:
        """Make the account if one is asked for."""
        if not self._email or await self._accounts.by_email(self._email) is not None:
            return
        account = Account(
            user_id=uuid7(),
            email=self._email,
            name="Admin",
            password_hash=await self._passwords.hash(self._password),
            roles=("admin",),
            created_at=self._clock.now(),
        )

        async def add(tx: Transaction) -> None:
            await self._accounts.add(tx, account)

        await run_once(self._db, add)

    async def close(self) -> None:
        """Nothing to give back."""
