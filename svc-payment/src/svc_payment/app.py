"""Wiring of svc-payment."""

from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex

from aiohttp import web
from pydantic import SecretStr

from contracts.payments import (
    ChargeRequested,
    ChargeSettled,
    PaymentCaptured,
    PaymentFailed,
    PaymentRefunded,
    RefundInitiated,
    RefundSettled,
)
from corelib.auth import Authenticator, FixedKeys, PublishedKeys
from corelib.broker import Broker
from corelib.clock import Clock, SystemClock
from corelib.documents import DocumentStore
from corelib.dynamo.store import Dynamo
from corelib.errors import SettingsError
from corelib.http_client import HttpClient
from corelib.kafka.broker import Kafka
from corelib.memory.alone import Alone
from corelib.memory.store import Memory
from corelib.service import Service
from svc_payment.actors import Cashier, Provider
from svc_payment.api import PaymentsApi
from svc_payment.provider.app import application
from svc_payment.provider.settings import WellBehaved
from svc_payment.settings import PaymentSettings
from svc_payment.store import PAYMENTS, Payments

_TABLES = (PAYMENTS,)
_PROVIDER = "/in-memory/provider"


@dataclass(frozen=True)
class Parts:
    """What is another thing on real servers than in memory; `provider` is the local one, within this process."""

    store: DocumentStore
    broker: Broker
    keys: PublishedKeys | FixedKeys
    provider_url: str
    webhook_secret: SecretStr
    alone: Alone | None = None
    provider: web.Application | None = None


def on_servers(settings: PaymentSettings) -> Parts:
    """Return the parts on DynamoDB and Kafka. Raises `SettingsError`."""
    if settings.provider_webhook_secret is None:
        raise SettingsError("SOUK_PROVIDER_WEBHOOK_SECRET is not set, and has no default")
    return Parts(
        Dynamo(
            "payment",
            settings.aws(),
            tables=_TABLES,
            streams=settings.aws_streams,
            sweep_seconds=settings.aws_sweep_seconds,
        ),
        Kafka(settings.kafka(), prefix=settings.kafka_prefix),
        PublishedKeys(settings.jwks_url),
        settings.provider_url,
        settings.provider_webhook_secret,
    )


def in_memory(settings: PaymentSettings, clock: Clock) -> Parts:
    """Return the parts that need nothing around the process, save a provider that the settings name."""
    db, alone = Memory(tables=_TABLES), Alone(settings, clock)
    secret = settings.provider_webhook_secret or SecretStr(token_hex())
    if "provider_url" in settings.model_fields_set:
        return Parts(db, alone.kafka, alone.keys, settings.provider_url, secret, alone)
    provider = application(WellBehaved(webhook_secret=secret, webhook_url=f"{settings.url}/api/v1/payments/webhooks"))
    return Parts(db, alone.kafka, alone.keys, f"{settings.url}{_PROVIDER}", secret, alone, provider)


def build(settings: PaymentSettings, *, clock: Clock | None = None) -> Service:
    """Return the service; tests give it a clock of their own."""
    clock = clock or SystemClock()
    parts = in_memory(settings, clock) if settings.in_memory else on_servers(settings)
    payments = Payments(parts.store)
    provider = HttpClient(
        "provider", parts.provider_url, deadline=timedelta(seconds=settings.provider_seconds), attempts=1
    )
    api = PaymentsApi(
        payments,
        clock,
        secret=parts.webhook_secret.get_secret_value(),
        tolerance_seconds=settings.webhook_tolerance_seconds,
    )
    service = Service(
        "payment",
        settings,
        store=parts.store,
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
        brokers=[parts.broker],
        resources=[provider, parts.keys],
        authenticator=Authenticator(parts.keys),
        clock=clock,
        alone=parts.alone,
    )
    if parts.provider is not None:
        service.app.add_subapp(_PROVIDER, parts.provider)
    return service
