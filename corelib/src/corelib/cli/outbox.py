"""`corelib outbox`: the tables of a service's outbox, their upgrades, and what a restored database needs."""

from typing import Annotated

import typer

from corelib.cli import frame
from corelib.cli.frame import console, run, service_of

_HELP = "The outbox of a service: its tables, its state, and a new beginning after a restore."

app = frame.application(help=_HELP)


@app.command()
def migrate(
    context: typer.Context,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the statements, change nothing")] = False,
) -> None:
    """Create corelib's tables in the service's store, or bring them up to date.

    Run it before a new release is deployed; it may run again, at the same time elsewhere, and while the service is at
    work: each step waits two seconds at most for a lock, then lets others pass and tries again. The service's own
    tables are its own business (`python -m svc_product --provision`).

    Example: `corelib --app svc_product outbox migrate --dry-run`
    """
    changes = run(service_of(context).store.migrate(dry_run=dry_run))
    if not changes:
        console.print("Everything is up to date.")
    for change in changes:
        if dry_run:
            console.print(f"-- {change.summary}\n{change.statement}", markup=False, highlight=False, soft_wrap=True)
        else:
            console.print(f"Done: {change.summary}", markup=False, highlight=False)
