"""`corelib relay`: the relays of a service in a process of their own."""

from typing import Annotated

import typer

from corelib.cli.frame import service_of
from corelib.errors import SettingsError
from corelib.main import serve


def relay(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Where health and metrics answer")] = None,
) -> None:
    """Run a service's relays, and what keeps its outbox in order, until SIGTERM.

    The same code as in the service: one relay holds the lease, others stand by, so it may run beside a service that
    relays itself. Start the service with `SOUK_ONLY=http,consumer,timers` to leave the relaying to this process.

    Beside its service on one machine it needs a port of its own.

    Example: `corelib --app svc_product relay --port 9102`
    """
    changes = {"only": "relay"} | ({} if port is None else {"port": port})
    service = service_of(context, **changes)
    try:
        serve(service)
    except SettingsError as taken:
        raise SettingsError(f"{taken}; --port gives this process one of its own") from taken
