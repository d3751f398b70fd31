"""The service that benches run: one event of 256 bytes, with its key, on one topic."""

from pydantic import Field

from corelib.config import ServiceSettings
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Event
from corelib.postgres.store import Postgres
from corelib.service import Service

SOLD = Channel("sold", partitions=4)
PAYLOAD_BYTES = 256


class Sold(Event, type="souk.bench.sold.v1", channels=(SOLD,), key="order_id"):
    """Something was sold."""

    order_id: str
    number: int
    note: str


class BenchSettings(ServiceSettings):
    """What a bench tells the service besides the usual."""

    outbox_schema: str = Field(default="ours", description="The schema of the outbox.")
    exactly_once: bool = Field(default=True, description="Relay in Kafka transactions.")


def sold(order_id: str, number: int) -> Sold:
    """Return an event whose body has exactly `PAYLOAD_BYTES`."""
    bare = len(Sold(order_id=order_id, number=number, note="").model_dump_json())
    return Sold(order_id=order_id, number=number, note="x" * (PAYLOAD_BYTES - bare))


def build(settings: BenchSettings) -> Service:
    """Wire the service."""
    return Service(
        "bench",
        settings,
        store=Postgres(settings.postgres_dsn, schema=settings.outbox_schema),
        publishes=[Sold],
        brokers=[Kafka(settings.kafka(), prefix=settings.kafka_prefix, exactly_once=settings.exactly_once)],
    )
