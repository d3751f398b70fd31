"""`corelib outbox`: the tables of a service's outbox, their upgrades, and what a restored database needs."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter

from corelib.cli import frame
from corelib.cli.frame import Who, console, me, opened, run, service_of, show_table
from corelib.errors import UsageError
from corelib.operation import Operation
from corelib.postgres.era import Era
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.store import RelayState

_HELP = "The outbox of a service: its tables, its state, and a new beginning after a restore."

_OPERATIONS = TypeAdapter(list[Operation])

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
    for change in changes:
        if dry_run:
            console.print(f"-- {change.summary}\n{change.statement}", markup=False, highlight=False, soft_wrap=True)
        else:
            console.print(f"Done: {change.summary}", markup=False, highlight=False)
    if not dry_run or not changes:
        console.print(
            "corelib's tables are up to date. The service's own are made by its migrations, or its --provision.",
            highlight=False,
            soft_wrap=True,
        )


@app.command()
def status(context: typer.Context) -> None:
    """Show the relays of a service: who holds their lease, and how long the oldest event has waited.

    Example: `corelib --app svc_product outbox status`
    """
    service = service_of(context)

    async def states() -> dict[str, RelayState]:
        async with opened(service):
            relays = service.relays().items()
            return {name: await service.store.relay_state(name, channels) for name, channels in relays}

    rows = []
    for name, state in run(states()).items():
        channels, holders = ", ".join(sorted(service.relays()[name])), ", ".join(sorted(state.holders))
        waits = f"{state.lag_seconds:.1f} s" if state.lag_seconds else "none waits"
        rows.append((name, channels, holders or "nobody", waits))
    show_table(("relay", "channels", "held by", "oldest event waits"), rows)


@app.command("new-era")
def new_era(
    context: typer.Context,
    *,
    reason: Annotated[str, typer.Option(help="Why, for the audit")],
    who: Who = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
) -> None:
    """Let the outbox of a restored PostgreSQL database go on; shows what that does, and asks.

    After a restore, positions and receipts belong to another time: relays refuse to go on, saying so. A new era sends
    again what the restored cursor does not cover, and what was published since; consumers' inboxes make what they had
    before harmless. Rows that were lost with the database are lost.

    Example: `corelib --app svc_product outbox new-era --reason "restored the dump of 08:00"`
    """
    service = service_of(context)
    if not isinstance(service.store, Postgres):
        raise UsageError(f"{service.store.name} needs no new era: what waits in its outbox says so itself")
    eras = service.store.eras(service.relays())
    _say(run(_within(service, eras.plan)))
    # Asked where no loop runs: one would wait for the answer before it heard of Ctrl-C.
    if not yes:
        typer.confirm("Begin the new era?", abort=True)
    operation = Operation("new-era", who or me(), reason, {}, service.clock.now())
    era = run(_within(service, partial(eras.begin, operation)))
    console.print(f"Era {era.number} has begun: {era.waiting} events will be sent. Relays go on by themselves.")


async def _within(service: Service, work: Callable[[], Awaitable[Era]]) -> Era:
    async with opened(service):
        return await work()


def _say(era: Era) -> None:
    if era.moved:
        console.print("The outbox was loaded from another cluster: its rows are written anew.")
    else:
        console.print("The outbox is this cluster's own: its rows stay, the receipts that brokers hold become void.")
    console.print(f"{era.waiting} events will be sent, {era.kept} were sent before and stay for replay.")


@app.command()
def forget(
    context: typer.Context,
    relay: Annotated[str, typer.Argument(metavar="RELAY", help="As the doctor names it")],
    *,
    reason: Annotated[str, typer.Option(help="Why, for the audit")],
    who: Who = "",
) -> None:
    """Give up the position of a relay that no release of the service has any more.

    Until then an outbox on PostgreSQL keeps everything that this relay has not read, and grows. What waits for it is
    not sent.

    Example: `corelib --app svc_product outbox forget sqs --reason "no event goes to a queue any more"`
    """
    service = service_of(context)
    store = service.store
    if not isinstance(store, Postgres):
        raise UsageError(f"{store.name} keeps no position of a relay")
    if relay in service.relays():
        raise UsageError(f"the service has the relay {relay}: its position is needed")
    operation = Operation("forget relay", who or me(), reason, {"relay": relay}, service.clock.now())

    async def forgotten() -> bool:
        async with opened(service):
            if gone := await store.forget_relay(relay):
                await store.operations.save(replace(operation, ended=service.clock.now()))
            return gone

    if not run(forgotten()):
        raise UsageError(f"there is no relay {relay}, or it is at work: see `corelib doctor`")
    console.print(f"Forgotten: {relay}. The ring turns without it.", markup=False, highlight=False)


@app.command()
def audit(
    context: typer.Context,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="For machines, and with the whole of what was skipped")
    ] = False,
) -> None:
    """Show what operators did to the service's events: who, what, why, to which, and how far it came.

    Example: `corelib --app svc_product outbox audit`, or `… audit --json | jq '.[].progress.skipped'`
    """
    service = service_of(context)

    async def listed() -> list[Operation]:
        async with opened(service):
            return list(await service.store.operations.list())

    found, now = run(listed()), service.clock.now()
    if as_json:
        console.print_json(_OPERATIONS.dump_json(found).decode())
        return
    rows = [
        (
            *(str(done.id), done.kind, done.who, done.reason),
            *(done.began.isoformat(timespec="seconds"), done.outcome(now), _told(done.details), _told(done.progress)),
        )
        for done in found
    ]
    show_table(("id", "what", "who", "why", "began", "ended", "of what", "progress"), rows)


def _told(facts: Mapping[str, Any]) -> str:
    """Say what is not empty in a line; where a replay is to be gone on with is for machines, a record for --json."""
    words = []
    for name, value in facts.items():
        if name == "skipped":
            words.append(f"skipped {dict(value['headers']).get('ce_id', 'what is no event')}")
        elif name == "selection":
            words.append(_told(value))
        elif value and name != "last" and not isinstance(value, dict):
            words.append(f"{name} {' '.join(map(str, value)) if isinstance(value, list) else value}")
    return ", ".join(words)
