"""`corelib`: what an operator does with a service. One module a command; services never import this package."""

from collections.abc import Sequence
from typing import Annotated

import typer

from corelib.cli import doctor, frame, outbox, parked, relay, replay
from corelib.cli.target import Target

_HELP = """Look after a service that is built on corelib.

The service is named as it is built, `--app svc_product.app:build` (or `--app svc_product`), or by the variable
CORELIB_APP; it reads the same `SOUK_…` variables as when it runs.

Exit code 0: all is well. 1: something was found, or failed. 2: the command or a setting was wrong.
130: Ctrl-C, or SIGTERM.
"""
_EXAMPLES = """Examples:

`corelib --app svc_product doctor` says what is wrong, and what to do.

`corelib --app svc_product outbox migrate` creates corelib's tables, or brings them up to date.

`corelib --app svc_product parked list` shows what could not be handled, `… parked retry --all` handles it again.

`corelib --app svc_product relay` runs the relay of svc-product in a process of its own.

`corelib --app svc_product replay --since 2h --type souk.stock.reserved.v1` counts what would be sent again.
"""

app = frame.application(help=_HELP, epilog=_EXAMPLES)
app.add_typer(outbox.app, name="outbox")
app.command("doctor")(doctor.doctor)
app.add_typer(parked.app, name="parked", help=parked.HELP)
app.command("relay")(relay.relay)
app.command("replay", help=replay.HELP, epilog=replay.EXAMPLES)(replay.replay)


@app.callback()
def named(
    context: typer.Context,
    service: Annotated[
        str, typer.Option("--app", envvar="CORELIB_APP", metavar="MODULE[:BUILD]", help="The service to look after")
    ] = "",
) -> None:
    """Note which service the command is about; it is imported once a command needs it."""
    context.obj = Target(service)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return frame.spoken(lambda: app(arguments))
