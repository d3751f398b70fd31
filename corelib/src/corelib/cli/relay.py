"""`corelib relay`: the relays of a service in a process of their own."""

from typing import Annotated

import typer

from corelib.cli.frame import service_of
from corelib.main import serve


def relay(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Where health and metrics answer")] = None,
) -> None:
    """Run a service's relays, and what keeps its outbox in order, until SIGTERM.

    The same code as in the service: one relay holds the lease, others stand by, so it may run beside a service that
    relays itself. Start the service with `SOUK_ONLY=http,consumer,timers` to leave the relaying to this process.

    Example: `SOUK_PORT=9102 corelib --app svc_product relay`
    """
    changes = {"only": "relay"} | ({} if port is None else {"port": port})
    serve(service_of(context, **changes))
