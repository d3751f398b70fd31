"""Wiring of svc-payment."""

from datetime import timedelta

from contracts.payments import (
    ChargeRequested,
    ChargeSettled,
    PaymentCaptured,
    PaymentFailed,
    PaymentRefunded,
    RefundInitiated,
    RefundSettled,
)
from corelib.auth import Authenticator, PublishedKeys
from corelib.clock import Clock, SystemClock
from corelib.dynamo.store import Dynamo
from corelib.http_client import HttpClient
from corelib.kafka.broker import Kafka
from corelib.service import Service
from svc_payment.actors import Cashier, Provider
from svc_payment.api import PaymentsApi
from svc_payment.settings import PaymentSettings
from svc_payment.store import PAYMENTS, Payments


def build(settings: PaymentSettings, *, clock: Clock | None = None) -> Service:
    """Return the service; tests give it a clock of their own."""
    clock = clock or SystemClock()
    db = Dynamo("payment", settings.aws(), tables=(PAYMENTS,), streams=settings.aws_streams)
    payments = Payments(db)
    provider = HttpClient(
        "provider", settings.provider_url, deadline=timedelta(seconds=settings.provider_seconds), attempts=1
    )
    keys = PublishedKeys(settings.jwks_url)
    api = PaymentsApi(
        payments,
        clock,
        secret=settings.provider_webhook_secret.get_secret_value(),
        tolerance_seconds=settings.webhook_tolerance_seconds,
    )
    return Service(
        "payment",
        settings,
        store=db,
        apis=[api],
        actors=[Cashier(payments), Provider(provider)],
        publishes=[
            ChargeRequested,
            ChargeSettled,
            PaymentCaptured,
            PaymentFailed,
            RefundInitiated,
            RefundSettled,
            PaymentRefunded,
        ],
        brokers=[Kafka(settings.kafka_bootstrap, prefix=settings.kafka_prefix)],
        resources=[provider, keys],
        authenticator=Authenticator(keys),
        clock=clock,
    )
