"""A service that handles the shop's orders, for the examples of what is parked."""

from shop import OrderPlaced

from corelib.actor import Actor, receive
from corelib.config import ServiceSettings
from corelib.kafka.broker import Kafka
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.service import Service

_SHELF = "CREATE TABLE IF NOT EXISTS shelf (loaves int)"


class Warehouse(Actor):
    """Takes a loaf from the shelf for each order."""

    @receive
    async def order_placed(self, event: OrderPlaced, tx: PostgresTransaction) -> None:
        """Raise `LookupError` where there is none."""
        if not await tx.fetch("UPDATE shelf SET loaves = loaves - 1 WHERE loaves > 0 RETURNING loaves"):
            raise LookupError(f"no loaf is left for {event.order_id}")


def build(settings: ServiceSettings) -> Service:
    """Return the service."""
    store = Postgres(settings.postgres_dsn, schema="warehouse", migrations=(_SHELF,))
    kafka = Kafka(settings.kafka_bootstrap, prefix=settings.kafka_prefix)
    return Service("warehouse", settings, store=store, actors=[Warehouse()], brokers=[kafka])
