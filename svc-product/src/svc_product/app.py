"""Wiring of svc-product."""

from contracts.stock import (
    ProductChanged,
    ReservationExpired,
    StockCommitted,
    StockRejected,
    StockReleased,
    StockReserved,
)
from corelib.auth import Authenticator, PublishedKeys
from corelib.aws import Bucket
from corelib.clock import Clock, SystemClock
from corelib.kafka.broker import Kafka
from corelib.postgres.store import Postgres
from corelib.service import Service
from svc_product.actors import Warehouse
from svc_product.api import ProductsApi
from svc_product.settings import ProductSettings
from svc_product.store import MIGRATIONS, Catalogue, Stock


def build(settings: ProductSettings, *, clock: Clock | None = None) -> Service:
    """Return the service; tests give it a clock of their own."""
    clock = clock or SystemClock()
    db = Postgres(settings.postgres_dsn, schema="products", migrations=MIGRATIONS)
    images = Bucket(settings.aws(), "product-images")
    keys = PublishedKeys(settings.jwks_url)
    return Service(
        "product",
        settings,
        store=db,
        apis=[ProductsApi(Catalogue(db), images)],
        actors=[Warehouse(Stock(), clock, settings.reservation_time)],
        publishes=[
            ProductChanged,
            StockReserved,
            StockRejected,
            StockCommitted,
            StockReleased,
            ReservationExpired,
        ],
        brokers=[Kafka(settings.kafka_bootstrap, prefix=settings.kafka_prefix)],
        resources=[images, keys],
        authenticator=Authenticator(keys),
        clock=clock,
    )
