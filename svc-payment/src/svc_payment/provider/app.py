"""The provider's HTTP interface: charges and refunds by Idempotency-Key, and the ledger for the audit."""

import asyncio
from dataclasses import asdict
from typing import Any

from aiohttp import web

from svc_payment.provider.ledger import Entry, Ledger, share
from svc_payment.provider.settings import ProviderSettings
from svc_payment.provider.webhooks import Webhooks


class Provider:
    """Answers like a real one, and fails like one."""

    def __init__(self, settings: ProviderSettings, ledger: Ledger, webhooks: Webhooks) -> None:
        self._settings = settings
        self._ledger = ledger
        self._webhooks = webhooks

    async def charge(self, request: web.Request) -> web.Response:
        """Take money: captured or declined; some answers come too late though the money was taken."""
        key, body = await _call(request)
        known = self._ledger.by_key.get(key)
        if known is not None:
            return web.json_response(asdict(known))
        reference = str(body["reference"])
        declined = share("decline", reference) < self._settings.decline_rate
        entry = Entry(
            id=f"ch_{key}",
            kind="charge",
            key=key,
            reference=reference,
            amount=int(body["amount"]),
            currency=str(body["currency"]),
            status="declined" if declined else "captured",
            reason="insufficient funds" if declined else "",
        )
        self._ledger.add(entry)
        self._webhooks.tell(entry)
        if share("timeout", reference) < self._settings.timeout_rate:
            await asyncio.sleep(self._settings.timeout_seconds)
        return web.json_response(asdict(entry))

    async def refund(self, request: web.Request) -> web.Response:
        """Give money back, at most what was taken."""
        key, body = await _call(request)
        known = self._ledger.by_key.get(key)
        if known is not None:
            return web.json_response(asdict(known))
        charge = self._ledger.entries.get(str(body["charge_id"]))
        amount = int(body["amount"])
        if charge is None or charge.status != "captured":
            return web.json_response({"error": "there is no captured charge of that id"}, status=404)
        if self._ledger.refunded(charge.id) + amount > charge.amount:
            return web.json_response({"error": "more than was charged"}, status=422)
        entry = Entry(
            id=f"re_{key}",
            kind="refund",
            key=key,
            reference=str(body["reference"]),
            amount=amount,
            currency=charge.currency,
            status="refunded",
            charge_id=charge.id,
        )
        self._ledger.add(entry)
        self._webhooks.tell(entry)
        return web.json_response(asdict(entry))

    async def by_key(self, request: web.Request) -> web.Response:
        """Tell what became of a call."""
        entry = self._ledger.by_key.get(request.match_info["key"])
        if entry is None:
            return web.json_response({"error": "unknown key"}, status=404)
        return web.json_response(asdict(entry))

    async def ledger(self, _: web.Request) -> web.Response:
        """Show all entries."""
        return web.json_response({"entries": [asdict(entry) for entry in self._ledger.entries.values()]})


async def _call(request: web.Request) -> tuple[str, dict[str, Any]]:
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        raise web.HTTPBadRequest(text="send an Idempotency-Key")
    return key, await request.json()


async def _livez(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def application(settings: ProviderSettings) -> web.Application:
    """Return the provider as an application."""
    ledger = Ledger(settings.state_file)
    webhooks = Webhooks(settings)
    provider = Provider(settings, ledger, webhooks)
    app = web.Application()
    app.router.add_post("/v1/charges", provider.charge)
    app.router.add_post("/v1/refunds", provider.refund)
    app.router.add_get("/v1/charges/by-key/{key}", provider.by_key)
    app.router.add_get("/v1/ledger", provider.ledger)
    app.router.add_get("/livez", _livez)

    async def start(_: web.Application) -> None:
        ledger.open()
        await webhooks.open()

    async def stop(_: web.Application) -> None:
        await webhooks.close()
        ledger.close()

    app.on_startup.append(start)
    app.on_cleanup.append(stop)
    return app
