"""Wiring of svc-product."""

from dataclasses import dataclass

from contracts.stock import (
    ProductChanged,
    ReservationExpired,
    StockCommitted,
    StockRejected,
    StockReleased,
    StockReserved,
)
from corelib.auth import Authenticator, FixedKeys, PublishedKeys
from corelib.aws.clients import Bucket
from corelib.broker import Broker
from corelib.clock import Clock, SystemClock
from corelib.kafka.broker import Kafka
from corelib.memory.alone import Alone
from corelib.memory.store import Memory
from corelib.objects import Objects
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.store import Store
from svc_product.actors import Warehouse
from svc_product.api import ProductsApi
from svc_product.memory import TABLES, MemoryCatalogue, MemoryStock
from svc_product.postgres import MIGRATIONS, SqlCatalogue, SqlStock
from svc_product.settings import ProductSettings
from svc_product.store import Catalogue, Stock


@dataclass(frozen=True)
class Parts:
    """What is another thing on real servers than in memory."""

    store: Store
    catalogue: Catalogue
    stock: Stock
    images: Objects
    broker: Broker
    keys: PublishedKeys | FixedKeys
    alone: Alone | None = None


def on_servers(settings: ProductSettings) -> Parts:
    """Return the parts on PostgreSQL, S3 and Kafka."""
    db = Postgres(settings.postgres_dsn, schema="products", migrations=MIGRATIONS)
    images = Bucket(settings.aws(), "product-images")
    kafka = Kafka(settings.kafka(), prefix=settings.kafka_prefix)
    return Parts(db, SqlCatalogue(db), SqlStock(), images, kafka, PublishedKeys(settings.jwks_url))


def in_memory(settings: ProductSettings, clock: Clock) -> Parts:
    """Return the parts that need nothing around the process."""
    db, alone = Memory(tables=TABLES), Alone(settings, clock)
    images = alone.bucket("product-images")
    return Parts(db, MemoryCatalogue(db), MemoryStock(), images, alone.kafka, alone.keys, alone)


def build(settings: ProductSettings, *, clock: Clock | None = None) -> Service:
    """Return the service; tests give it a clock of their own."""
    clock = clock or SystemClock()
    parts = in_memory(settings, clock) if settings.in_memory else on_servers(settings)
    return Service(
        "product",
        settings,
        store=parts.store,
        apis=[ProductsApi(parts.catalogue, parts.images)],
        actors=[Warehouse(parts.stock, clock, settings.reservation_time)],
        publishes=[
            ProductChanged,
            StockReserved,
            StockRejected,
            StockCommitted,
            StockReleased,
            ReservationExpired,
        ],
        brokers=[parts.broker],
        resources=[parts.images, parts.keys],
        authenticator=Authenticator(parts.keys),
        clock=clock,
        alone=parts.alone,
    )
