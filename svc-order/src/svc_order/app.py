"""Wiring of svc-order."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.orders import (
    OrderCancelled,
    OrderConfirmed,
    OrderDeadlineReached,
    OrderPlaced,
    OrderRejected,
    PaymentRequested,
    RefundRequested,
)
from corelib.auth import Authenticator, FixedKeys, PublishedKeys
from corelib.aws.clients import Bucket
from corelib.broker import Publisher
from corelib.clock import Clock, SystemClock
from corelib.documents import DocumentStore
from corelib.dynamo.store import Dynamo
from corelib.kafka.broker import Kafka
from corelib.memory.alone import Alone
from corelib.memory.store import Memory
from corelib.objects import Objects
from corelib.service import Service
from corelib.sqs.broker import Sqs
from svc_order.actors import Documents, Fulfilment, PriceList
from svc_order.api import CartsApi, OrdersApi
from svc_order.settings import OrderSettings
from svc_order.store import TABLES, Carts, Orders, Prices


@dataclass(frozen=True)
class Parts:
    """What is another thing on real servers than in memory."""

    store: DocumentStore
    documents: Objects
    brokers: Sequence[Publisher]
    keys: PublishedKeys | FixedKeys
    alone: Alone | None = None


def on_servers(settings: OrderSettings) -> Parts:
    """Return the parts on DynamoDB, S3, Kafka and SQS."""
    aws = settings.aws()
    db = Dynamo("order", aws, tables=TABLES, streams=settings.aws_streams, sweep_seconds=settings.aws_sweep_seconds)
    brokers: list[Publisher] = [Kafka(settings.kafka(), prefix=settings.kafka_prefix), Sqs(aws)]
    return Parts(db, Bucket(aws, "order-documents"), brokers, PublishedKeys(settings.jwks_url))


def in_memory(settings: OrderSettings, clock: Clock) -> Parts:
    """Return the parts that need nothing around the process."""
    alone = Alone(settings, clock)
    documents = alone.bucket("order-documents")
    return Parts(Memory(tables=TABLES), documents, [alone.kafka, alone.sqs], alone.keys, alone)


def build(settings: OrderSettings, *, clock: Clock | None = None) -> Service:
    """Return the service; tests give it a clock of their own."""
    clock = clock or SystemClock()
    parts = in_memory(settings, clock) if settings.in_memory else on_servers(settings)
    db = parts.store
    orders = Orders(db)
    prices = Prices(db, settings.price_cache_seconds)
    return Service(
        "order",
        settings,
        store=db,
        apis=[CartsApi(Carts(db), prices), OrdersApi(orders, prices, clock, deadline=settings.order_deadline)],
        actors=[Fulfilment(orders, clock), PriceList(prices), Documents(orders, parts.documents)],
        publishes=[
            OrderPlaced,
            OrderConfirmed,
            OrderRejected,
            OrderCancelled,
            PaymentRequested,
            RefundRequested,
            OrderDeadlineReached,
        ],
        brokers=parts.brokers,
        resources=[parts.documents, parts.keys],
        authenticator=Authenticator(parts.keys),
        clock=clock,
        alone=parts.alone,
    )
