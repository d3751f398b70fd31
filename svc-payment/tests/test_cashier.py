"""Charges and refunds, on DynamoDB and in memory; the provider declines, answers too late and tells things twice."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from contracts.money import Money
from contracts.orders import PaymentRequested, RefundRequested
from contracts.payments import (
    ChargeRequested,
    ChargeSettled,
    PaymentCaptured,
    PaymentFailed,
    PaymentRefunded,
    RefundInitiated,
    RefundSettled,
)
from corelib.clock import ManualClock
from corelib.errors import Unavailable
from corelib.ids import uuid7
from corelib.message import Event
from corelib.testing.desk import Desk, desk
from corelib.testing.issuer import Issuer
from corelib.testing.running import free_port
from svc_payment.app import build
from svc_payment.provider.app import application
from svc_payment.provider.settings import ProviderSettings
from svc_payment.settings import PaymentSettings
from svc_payment.store import Payments

SECRET = "not-a-secret"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Till:
    desk: Desk
    url: str
    provider: str
    provider_settings: ProviderSettings
    session: aiohttp.ClientSession
    issuer: Issuer

    async def ledger(self, order_id: UUID) -> list[dict[str, Any]]:
        async with self.session.get(f"{self.provider}/v1/ledger") as answer:
            entries = (await answer.json())["entries"]
        return [entry for entry in entries if entry["reference"] == str(order_id)]

    async def webhook(self, kind: str, order_id: UUID, *, age: int = 0, secret: str = SECRET, **more: Any) -> int:
        body = json.dumps(
            {"id": "wh_1", "type": kind, "charge_id": "ch_1", "reference": str(order_id), **more}
        ).encode()
        at = int(self.desk.clock.now().timestamp()) - age
        signature = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"Provider-Signature": f"t={at},v1={signature}", "Content-Type": "application/json"}
        async with self.session.post(f"{self.url}/api/v1/payments/webhooks", data=body, headers=headers) as answer:
            return answer.status


async def served(app: web.Application, port: int) -> web.AppRunner:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def till(either: dict[str, Any]) -> AsyncIterator[Till]:
    clock, provider_port, port = ManualClock(), free_port(), free_port()
    provider_settings = ProviderSettings(
        port=provider_port, decline_rate=0, timeout_rate=0, webhook_secret=SECRET, webhook_url="http://127.0.0.1:9/"
    )
    provider = await served(application(provider_settings), provider_port)
    async with Issuer() as issuer, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{provider_port}"
        settings = PaymentSettings(
            **either,
            port=port,
            provider_url=url,
            provider_seconds=0.5,
            provider_webhook_secret=SECRET,
            jwks_url=issuer.jwks_url,
        )
        service = build(settings, clock=clock)
        async with desk(service, clock) as opened:
            own = await served(service.app, port)
            yield Till(opened, f"http://127.0.0.1:{port}", url, provider_settings, session, issuer)
            await own.cleanup()
    await provider.cleanup()


def requested(order_id: UUID | None = None, *, user_id: UUID | None = None) -> PaymentRequested:
    amount = Money(amount=100, currency="USD")
    return PaymentRequested(order_id=order_id or uuid7(), user_id=user_id or uuid4(), amount=amount)


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


async def charging(till: Till) -> ChargeRequested:
    (event,) = await till.desk.handle(requested())
    assert isinstance(event, ChargeRequested)
    return event


async def test_a_charge_is_recorded_called_and_captured(till: Till) -> None:
    charge = await charging(till)
    (settled,) = await till.desk.handle(charge)
    assert isinstance(settled, ChargeSettled)
    assert kinds(await till.desk.handle(settled)) == [PaymentCaptured]
    assert [entry["amount"] for entry in await till.ledger(charge.order_id)] == [100]


async def test_a_redelivered_charge_takes_the_money_once(till: Till) -> None:
    charge, event_id = await charging(till), uuid7()
    (settled,) = await till.desk.handle(charge, event_id=event_id)
    assert await till.desk.handle(charge, event_id=event_id) == []
    assert kinds(await till.desk.handle(settled)) == [PaymentCaptured]
    assert len(await till.ledger(charge.order_id)) == 1


async def test_an_answer_that_comes_too_late_is_asked_for_again_and_charged_once(till: Till) -> None:
    charge, event_id = await charging(till), uuid7()
    object.__setattr__(till.provider_settings, "timeout_rate", 1.0)
    object.__setattr__(till.provider_settings, "timeout_seconds", 2.0)
    try:
        with pytest.raises(Unavailable):
            await till.desk.handle(charge, event_id=event_id)
    finally:
        object.__setattr__(till.provider_settings, "timeout_rate", 0.0)
    (settled,) = await till.desk.handle(charge, event_id=event_id)
    assert isinstance(settled, ChargeSettled)
    assert settled.outcome == "captured"
    assert len(await till.ledger(charge.order_id)) == 1


async def test_a_decline_fails_the_payment(till: Till) -> None:
    charge = await charging(till)
    object.__setattr__(till.provider_settings, "decline_rate", 1.0)
    (settled,) = await till.desk.handle(charge)
    object.__setattr__(till.provider_settings, "decline_rate", 0.0)
    (failed,) = await till.desk.handle(settled)
    assert isinstance(failed, PaymentFailed)
    assert failed.reason == "insufficient funds"


async def test_a_refund_asked_during_the_charge_follows_it(till: Till) -> None:
    charge = await charging(till)
    assert await till.desk.handle(RefundRequested(order_id=charge.order_id, reason="late")) == []
    (settled,) = await till.desk.handle(charge)
    events = await till.desk.handle(settled)
    assert set(kinds(events)) == {PaymentCaptured, RefundInitiated}
    refund = next(event for event in events if isinstance(event, RefundInitiated))
    (gone,) = await till.desk.handle(refund)
    assert isinstance(gone, RefundSettled)
    assert kinds(await till.desk.handle(gone)) == [PaymentRefunded]
    assert [entry["kind"] for entry in await till.ledger(charge.order_id)] == ["charge", "refund"]


async def test_a_webhook_before_the_answer_settles_and_the_answer_changes_nothing(till: Till) -> None:
    charge = await charging(till)
    assert await till.webhook("charge.captured", charge.order_id) == 204
    assert kinds(await till.desk.published()) == [PaymentCaptured]
    assert await till.webhook("charge.captured", charge.order_id) == 204
    assert await till.webhook("charge.declined", charge.order_id) == 204
    (settled,) = await till.desk.handle(charge)
    assert await till.desk.handle(settled) == []


async def test_an_unsigned_old_or_senseless_webhook_changes_nothing(till: Till) -> None:
    charge = await charging(till)
    assert await till.webhook("charge.captured", charge.order_id, secret="wrong") == 401
    assert await till.webhook("charge.captured", charge.order_id, age=3_600) == 401
    assert await till.webhook("charge.stolen", charge.order_id) == 422
    assert await till.webhook("charge.captured", uuid4()) == 404
    assert await till.desk.published() == []
    store: Any = till.desk.service.store
    payment = await Payments(store).find(charge.order_id)
    assert payment is not None
    assert payment.status == "charging"


async def test_a_payment_is_shown_to_its_owner_and_refunded_by_an_admin(till: Till) -> None:
    owner = uuid4()
    event = requested(user_id=owner)
    (charge,) = await till.desk.handle(event)
    (settled,) = await till.desk.handle(charge)
    await till.desk.handle(settled)
    path = f"{till.url}/api/v1/payments/{event.order_id}"

    async def ask(method: str, url: str, user: UUID, *roles: str) -> int:
        headers = {"Authorization": f"Bearer {till.issuer.token(user, *roles)}"}
        async with till.session.request(method, url, headers=headers) as answer:
            return answer.status

    assert await ask("GET", path, owner) == 200
    assert await ask("GET", path, uuid4()) == 404
    assert await ask("POST", f"{path}/refund", owner) == 403
    assert await ask("POST", f"{path}/refund", uuid4(), "admin") == 202
    assert kinds(await till.desk.published()) == [RefundInitiated]
    assert await ask("POST", f"{path}/refund", uuid4(), "admin") == 409
