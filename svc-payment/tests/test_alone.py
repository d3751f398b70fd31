"""`python -m svc_payment --in-memory`: money is taken and given back by a provider within the process."""

from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from contracts.money import Money
from contracts.orders import PaymentRequested
from corelib.main import main
from corelib.testing.alone import alone, ask
from corelib.testing.running import until
from svc_payment.app import build
from svc_payment.settings import PaymentSettings


async def requested(session: aiohttp.ClientSession, user_id: UUID) -> UUID:
    event = PaymentRequested(order_id=uuid4(), user_id=user_id, amount=Money(amount=100, currency="USD"))
    told = await ask(session, f"POST /in-memory/events/{event.type}", event.model_dump(mode="json"))
    assert told[0] == 202
    return event.order_id


async def token(session: aiohttp.ClientSession, user_id: UUID, *roles: str) -> str:
    _, answer = await ask(session, "POST /in-memory/tokens", {"user_id": str(user_id), "roles": list(roles)})
    return str(answer["access_token"])


async def becomes(session: aiohttp.ClientSession, order_id: UUID, whose: str, **state: str) -> None:
    async def is_so() -> bool:
        status, payment = await ask(session, f"GET /api/v1/payments/{order_id}", token=whose)
        return status == 200 and state.items() <= payment.items()

    await until(is_so)


async def ledger(session: aiohttp.ClientSession) -> list[Any]:
    _, books = await ask(session, "GET /in-memory/provider/v1/ledger")
    return [(entry["kind"], entry["amount"]) for entry in books["entries"]]


async def test_a_payment_is_charged_and_given_back() -> None:
    ann = uuid4()
    async with alone("svc_payment") as session:
        hers, admins = await token(session, ann), await token(session, uuid4(), "admin")
        order_id = await requested(session, ann)
        await becomes(session, order_id, hers, status="captured", refund="none")
        assert await ledger(session) == [("charge", 100)]
        assert (await ask(session, f"POST /api/v1/payments/{order_id}/refund", token=hers))[0] == 403
        assert (await ask(session, f"POST /api/v1/payments/{order_id}/refund", token=admins))[0] == 202
        await becomes(session, order_id, hers, status="captured", refund="refunded")
        assert await ledger(session) == [("charge", 100), ("refund", 100)]
        stranger = await token(session, uuid4())
        assert (await ask(session, f"GET /api/v1/payments/{order_id}", token=stranger))[0] == 404


async def test_a_provider_that_is_told_to_declines() -> None:
    ann = uuid4()
    async with alone("svc_payment", SOUK_PROVIDER_DECLINE_RATE="1") as session:
        order_id = await requested(session, ann)
        await becomes(session, order_id, await token(session, ann), status="declined", reason="insufficient funds")


def test_on_servers_the_secret_of_the_webhooks_is_demanded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["svc_payment", "--describe"])
    monkeypatch.delenv("SOUK_PROVIDER_WEBHOOK_SECRET", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(PaymentSettings, build)
    assert ended.value.code == 2
    assert "SOUK_PROVIDER_WEBHOOK_SECRET is not set" in capsys.readouterr().err
