"""The small service that the examples on these pages look after."""

from corelib.config import ServiceSettings
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Event
from corelib.postgres.store import Postgres
from corelib.service import Service

ORDERS = Channel("orders", partitions=2)


class OrderPlaced(Event, type="shop.order.placed.v1", channels=(ORDERS,), key="order_id"):
    """An order came in."""

    order_id: str


def build(settings: ServiceSettings) -> Service:
    """Return the service."""
    store = Postgres(settings.postgres_dsn, schema="shop")
    kafka = Kafka(settings.kafka_bootstrap, prefix=settings.kafka_prefix)
    return Service("shop", settings, store=store, publishes=[OrderPlaced], brokers=[kafka])
