"""Wiring of svc-order."""

from contracts.orders import (
    OrderCancelled,
    OrderConfirmed,
    OrderDeadlineReached,
    OrderPlaced,
    OrderRejected,
    PaymentRequested,
    RefundRequested,
)
from corelib.auth import Authenticator, PublishedKeys
from corelib.aws import Bucket
from corelib.clock import Clock, SystemClock
from corelib.dynamo.store import Dynamo
from corelib.kafka.broker import Kafka
from corelib.service import Service
from corelib.sqs.broker import Sqs
from svc_order.actors import Documents, Fulfilment, PriceList
from svc_order.api import CartsApi, OrdersApi
from svc_order.settings import OrderSettings
from svc_order.store import TABLES, Carts, Orders, Prices


def build(settings: OrderSettings, *, clock: Clock | None = None) -> Service:
    """Return the service; tests give it a clock of their own."""
    clock = clock or SystemClock()
    aws = settings.aws()
    db = Dynamo("order", aws, tables=TABLES, streams=settings.aws_streams)
    orders = Orders(db)
    prices = Prices(db, settings.price_cache_seconds)
    documents = Bucket(aws, "order-documents")
    keys = PublishedKeys(settings.jwks_url)
    return Service(
        "order",
        settings,
        store=db,
        apis=[CartsApi(Carts(db), prices), OrdersApi(orders, prices, clock, deadline=settings.order_deadline)],
        actors=[Fulfilment(orders, clock), PriceList(prices), Documents(orders, documents)],
        publishes=[
            OrderPlaced,
            OrderConfirmed,
            OrderRejected,
            OrderCancelled,
            PaymentRequested,
            RefundRequested,
            OrderDeadlineReached,
        ],
        brokers=[Kafka(settings.kafka_bootstrap, prefix=settings.kafka_prefix), Sqs(aws)],
        resources=[documents, keys],
        authenticator=Authenticator(keys),
        clock=clock,
    )
