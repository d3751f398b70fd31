"""Writes entries as fast as it may, and keeps a journal of what it was told: `python -m crash.writer JOURNAL SEED`.

A line of the journal is `<what> <entry>`: `trying` before a transaction, then `committed`, `undone` (its own rollback)
or `unsure` (the answer was lost). A writer that is killed leaves `trying` as its last word.
"""

import asyncio
import random
import sys
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import uuid4

from corelib.clock import SystemClock
from corelib.config import ServiceSettings, load
from corelib.errors import Conflict, Unavailable
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.store import Store
from corelib.transaction import Origin
from crash.app import EntryAdded, EntryChimed, store_of

S = TypeVar("S", bound=Store)

LANES = 6
ACCOUNTS = 10
PAUSE_SECONDS = 0.04
LARGE = 100_000

NEXT_NUMBER = """
INSERT INTO account AS a VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET entries = a.entries + 1 RETURNING entries
"""


class ChangeOfMindError(Exception):
    """Rolls a transaction back that has published already."""


class Writer(ABC, Generic[S]):
    """Several lanes of transactions on a few accounts, some slow, some undone, some with a timer or a large event."""

    def __init__(self, store: S, journal: Path, choice: random.Random) -> None:
        self._store = store
        self._choice = choice
        # Unbuffered: what was said must be there after a kill.
        self._journal = journal.open("ab", buffering=0)

    async def run(self) -> None:
        """Write until killed."""
        await asyncio.gather(*(self._lane() for _ in range(LANES)))

    async def _lane(self) -> None:
        while True:
            entry = uuid4().hex
            self._say("trying", entry)
            try:
                await self._write(entry)
            except ChangeOfMindError:
                self._say("undone", entry)
            except (Unavailable, Conflict):
                self._say("unsure", entry)
            else:
                self._say("committed", entry)
            await asyncio.sleep(self._choice.uniform(0, 2 * PAUSE_SECONDS))

    async def _write(self, entry: str) -> None:
        account = f"account-{self._choice.randrange(ACCOUNTS)}"
        dice = self._choice.random()
        async with self._store.transaction() as tx:
            chimes = dice < 0.1
            number = await self._enter(tx, entry, account, chimes=chimes)
            padding = "x" * (LARGE if dice > 0.99 else self._choice.randrange(300))
            tx.publish(EntryAdded(account=account, number=number, padding=padding))
            if chimes:
                due = datetime.now(UTC) + timedelta(seconds=self._choice.uniform(0, 2))
                tx.schedule(EntryChimed(account=account, number=number), at=due)
            if 0.8 < dice < 0.85:
                await asyncio.sleep(self._choice.uniform(0, 0.5))  # holds its transaction open while others commit
            if 0.85 < dice < 0.95:
                raise ChangeOfMindError

    @abstractmethod
    async def _enter(self, tx: Any, entry: str, account: str, *, chimes: bool) -> int:
        """Store an entry, and return its number in its account."""

    def _say(self, what: str, entry: str) -> None:
        self._journal.write(f"{what} {entry}\n".encode())


class PostgresWriter(Writer[Postgres]):
    """Counts by a row of the account, which lanes queue for."""

    async def _enter(self, tx: PostgresTransaction, entry: str, account: str, *, chimes: bool) -> int:
        number: int = await tx.fetchval(NEXT_NUMBER, account)
        await tx.execute("INSERT INTO entry VALUES ($1, $2, $3, $4)", entry, account, number, chimes)
        return number


async def write(kind: type[Writer[S]], store: S, journal: Path, seed: str) -> None:
    """Open the store, waiting until it is there, and write."""
    origin = Origin("crash/writer", SystemClock(), frozenset({EntryAdded, EntryChimed}))
    while True:
        try:
            await store.open(origin)
        except Unavailable:
            await asyncio.sleep(0.2)
        else:
            break
    await kind(store, journal, random.Random(seed)).run()  # noqa: S311 -- a load, not a secret


if __name__ == "__main__":
    asyncio.run(write(PostgresWriter, store_of(load(ServiceSettings)), Path(sys.argv[1]), sys.argv[2]))
