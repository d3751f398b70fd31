"""The service of `crash.app` on DynamoDB, made to be killed: `python -m crash.dynamo_app --only relay`."""

from dataclasses import dataclass

from corelib.actor import Actor, receive
from corelib.config import ServiceSettings
from corelib.dynamo.store import Dynamo
from corelib.dynamo.tables import Table
from corelib.dynamo.transaction import DynamoTransaction
from corelib.kafka.broker import Kafka
from corelib.main import main
from corelib.service import Service
from crash.app import EntryAdded, EntryBooked, EntryChimed

ACCOUNTS = Table("accounts", "name")
ENTRIES = Table("entries", "id")
# An item holds, in their order, the numbers of all effects of one kind on one account: a doubled one shows.
EFFECTS = Table("effects", "kind", "account")
# So short that a relay which sleeps is thought dead while it does.
LEASE_SECONDS = 3.0


@dataclass(frozen=True)
class Book(Actor):
    """Leaves an effect for each event."""

    @receive
    async def entry_added(self, event: EntryAdded, tx: DynamoTransaction) -> None:
        """Handle the first event of the chain."""
        await leave(tx, event)
        tx.publish(EntryBooked(account=event.account, number=event.number))

    @receive
    async def entry_booked(self, event: EntryBooked, tx: DynamoTransaction) -> None:
        """Handle the second."""
        await leave(tx, event)

    @receive
    async def entry_chimed(self, event: EntryChimed, tx: DynamoTransaction) -> None:
        """Handle a timer."""
        await leave(tx, event)


async def leave(tx: DynamoTransaction, event: EntryAdded | EntryBooked | EntryChimed) -> None:
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
    """Wire the service."""
    return Service(
        "ledger",
        settings,
        store=store_of(settings),
        actors=[Book()],
        publishes=[EntryAdded, EntryBooked, EntryChimed],
        brokers=[Kafka(settings.kafka_bootstrap, prefix=settings.kafka_prefix, session_seconds=6)],
    )


if __name__ == "__main__":
    main(ServiceSettings, build)
