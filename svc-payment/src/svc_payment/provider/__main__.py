"""`python -m svc_payment.provider`: a payment provider for local runs, not part of the shop."""

import sys

from aiohttp import web

from corelib.config import load
from corelib.errors import SettingsError
from svc_payment.provider.app import application
from svc_payment.provider.settings import ProviderSettings, ServerSettings

if __name__ == "__main__":
    try:
        server, settings = load(ServerSettings), load(ProviderSettings)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- a command line speaks on standard error
        raise SystemExit(2) from None
    web.run_app(application(settings), host=server.host, port=server.port, print=None, access_log=None)
