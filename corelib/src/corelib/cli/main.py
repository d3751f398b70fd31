"""`corelib`: what an operator does with a service. One module a command; services never import this package."""

import shlex
from collections.abc import Sequence
from itertools import takewhile
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from corelib.cli import doctor, frame, outbox, parked, relay, replay
from corelib.cli.target import Target
from corelib.errors import UsageError

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


class _Commands(TyperGroup):
    """Says where `--app` goes to whoever gives it behind the command, as one does with other options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take what is ours. Raises `UsageError` where `--app` is among what is the command's."""
        given = list(args)
        rest = super().parse_args(ctx, args)
        behind = given[-len(ctx.args) - 1 :] if ctx.args else []
        for at, word in enumerate(takewhile(lambda word: word != "--", behind)):
            if word.partition("=")[0] == "--app":
                end = at + (1 if "=" in word else 2)
                right = shlex.join(["corelib", *behind[at:end], *behind[:at], *behind[end:]])
                raise UsageError(f"put --app before the command: {right}")
        return rest


app = frame.application(help=_HELP, epilog=_EXAMPLES, cls=_Commands)
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
