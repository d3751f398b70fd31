"""`crash.writer` on DynamoDB: `python -m crash.dynamo_writer JOURNAL SEED`."""

import asyncio
import sys
from pathlib import Path

from corelib.config import ServiceSettings, load
from corelib.dynamo.store import Dynamo
from corelib.dynamo.transaction import DynamoTransaction
from crash.dynamo_app import ACCOUNTS, ENTRIES, store_of
from crash.writer import Writer, write


class DynamoWriter(Writer[Dynamo]):
    """Counts by the version of the account, which lanes of all writers conflict on."""

    async def _enter(self, tx: DynamoTransaction, entry: str, account: str, *, chimes: bool) -> int:
        before = await tx.get(ACCOUNTS, {"name": account})
        number: int = before["version"] + 1 if before else 1
        if before:
            tx.put(ACCOUNTS, {"name": account, "version": number}, version=number - 1)
        else:
            tx.put(ACCOUNTS, {"name": account, "version": number}, new=True)
        tx.put(ENTRIES, {"id": entry, "account": account, "number": number, "chimes": chimes}, new=True)
        return number


if __name__ == "__main__":
    asyncio.run(write(DynamoWriter, store_of(load(ServiceSettings)), Path(sys.argv[1]), sys.argv[2]))
