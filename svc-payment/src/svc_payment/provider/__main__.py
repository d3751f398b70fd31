"""`python -m svc_payment.provider`: a payment provider for local runs, not part of the shop."""

from aiohttp import web

from svc_payment.provider.app import application
from svc_payment.provider.settings import ProviderSettings, ServerSettings

if __name__ == "__main__":
    server = ServerSettings()
    web.run_app(application(ProviderSettings()), host=server.host, port=server.port, print=None, access_log=None)
