"""The service of `crash.app` on DynamoDB, made to be killed: `python -m crash.dynamo_app --only relay`."""

from corelib.config import ServiceSettings
from corelib.documents import Table
from corelib.dynamo.store import Dynamo
from corelib.dynamo.transaction import DynamoTransaction
from corelib.main import main
from corelib.service import Service
from crash.app import Book, Entered, ledger

ACCOUNTS = Table("accounts", "name")
ENTRIES = Table("entries", "id")
# An item holds, in their order, the numbers of all effects of one kind on one account: a doubled one shows.
EFFECTS = Table("effects", "kind", "account")
# So short that a relay which sleeps is thought dead while it does.
LEASE_SECONDS = 3.0


async def leave(tx: DynamoTransaction, event: Entered) -> None:
    """Write the effect of an event."""
    key = {"kind": event.type, "account": event.account}
    before = await tx.get(EFFECTS, key)
    numbers, version = (before["numbers"], before["version"]) if before else ([], 0)
    after = {**key, "numbers": [*numbers, event.number], "version": version + 1}
    if before:
        tx.put(EFFECTS, after, version=version)
    else:
        tx.put(EFFECTS, after, new=True)


def store_of(settings: ServiceSettings) -> Dynamo:
    """Return the ledger's store."""
    tables = (ACCOUNTS, ENTRIES, EFFECTS)
    return Dynamo("ledger", settings.aws(), tables=tables, lease_seconds=LEASE_SECONDS)


def build(settings: ServiceSettings) -> Service:
    """Wire the service on DynamoDB."""
    return ledger(settings, store_of(settings), Book(leave))


if __name__ == "__main__":
    main(ServiceSettings, build)
