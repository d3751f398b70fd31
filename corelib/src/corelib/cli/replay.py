"""`corelib replay`: send again what was sent before."""

import re
from collections.abc import Awaitable, Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated
from uuid import UUID

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from corelib.cli.frame import Who, complaints, console, me, opened, run, service_of
from corelib.errors import LeaseLost, UsageError
from corelib.execution import require_free
from corelib.history import Selection
from corelib.operation import Operation
from corelib.replay import KIND, Plan, Source, Tally, channels_for, replay_of
from corelib.service import Service

_Work = Callable[[Callable[[int], None]], Awaitable[Operation]]
_AGO = re.compile(r"(\d+)([smhd])")
_RATE = 1_000.0
_WITH_RESUME = frozenset({"resume", "rate", "reason", "who", "go"})
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

HELP = """Send again what was sent before: count it first, then send it with `--go`.

Events keep their ids, so consumers whose inbox remembers them change nothing; per key they keep their order. What is
older than inboxes remember goes to another topic only. Each replay is written down with who and why; Ctrl-C stops it
where it can be gone on with, and who goes on is written down too.
"""
EXAMPLES = """Examples:

`corelib --app svc_product replay --since 2h --type souk.stock.reserved.v1` counts.

`corelib --app svc_product replay --since 2h --go --reason "search index lost" --to stock-again` sends elsewhere.

`corelib --app svc_order replay --parked o-17` counts what is parked of a key.

`corelib --app svc_product replay --resume 0198c1c2-…` goes on.
"""

_Source = Annotated[Source, typer.Option(help="Where to read what was sent")]
_Since = Annotated[str, typer.Option(metavar="WHEN", help="2026-11-25T08:00, in UTC, or 90m, 2h, 3d ago")]
_Until = Annotated[str, typer.Option(metavar="WHEN", help="As --since; without, up to now")]
_Types = Annotated[list[str] | None, typer.Option("--type", metavar="TYPE", help="Of this type; may be repeated")]
_Topics = Annotated[list[str] | None, typer.Option(metavar="TOPIC", help="Of this topic or queue")]
_Keys = Annotated[list[str] | None, typer.Option(metavar="KEY", help="Of this key")]
_Traces = Annotated[list[str] | None, typer.Option(metavar="TRACE", help="Of this trace id")]
_Parked = Annotated[list[str] | None, typer.Option(metavar="KEY", help="What is parked of this key (sets --source)")]
_Target = Annotated[str, typer.Option(metavar="TOPIC", help="Send there instead of where it was sent before")]
_Rate = Annotated[
    float | None, typer.Option(min=0, metavar="NUMBER", help="Events a second at most; 0: any [default: 1000]")
]
_Go = Annotated[bool, typer.Option("--go", help="Send; without, it is only counted")]
_Reason = Annotated[str, typer.Option(help="Why, for the audit; needed with --go, as before with --resume")]
_Resume = Annotated[UUID | None, typer.Option(metavar="ID", help="Go on with a replay that was interrupted")]


def replay(
    context: typer.Context,
    *,
    source: _Source = Source.OUTBOX,
    since: _Since = "",
    until: _Until = "",
    kind: _Types = None,
    topic: _Topics = None,
    key: _Keys = None,
    trace: _Traces = None,
    parked: _Parked = None,
    to: _Target = "",
    rate: _Rate = None,
    go: _Go = False,
    reason: _Reason = "",
    who: Who = "",
    resume: _Resume = None,
) -> None:
    """Count, send, or go on."""
    service = service_of(context)
    if resume is not None:
        _require_only(context, _WITH_RESUME)
        run(_resumed(service, resume, rate=rate, reason=reason, who=who or me()))
        return
    if go and not reason:
        raise UsageError("--go needs --reason: it is written down with the replay")
    source = Source.PARKED if parked else source
    transport, channels = channels_for(service, source, topic or [], frozenset(kind or ()))
    selection = Selection(
        channels=channels,
        since=_moment(since, "--since"),
        until=_moment(until, "--until") or datetime.now(UTC),
        types=frozenset(kind or ()),
        keys=frozenset([*(key or ()), *(parked or ())]),
        traces=frozenset(trace or ()),
    )
    plan = Plan(
        source=source, transport=transport, selection=selection, target=to, rate=_RATE if rate is None else rate
    )
    run(_counted_or_sent(service, plan, reason=reason if go else "", who=who or me()))


async def _counted_or_sent(service: Service, plan: Plan, *, reason: str, who: str) -> None:
    async with opened(service, *service.brokers.values()):
        work = replay_of(service, plan)
        with complaints.status("Counting …"):
            tally = await work.count()
        _require_known(service, plan.selection.types - tally.types.keys())
        _show(tally)
        if not tally.records:
            return
        work.require_remembered(tally)
        if not reason:
            console.print("Nothing was sent. Add --go and --reason to send it.")
            return
        details = plan.model_dump(mode="json")
        operation = Operation(KIND, who, reason, details, service.clock.now())
        await _send(partial(work.run, operation), operation, tally.records)


async def _resumed(service: Service, number: UUID, *, rate: float | None, reason: str, who: str) -> None:
    async with opened(service, *service.brokers.values()):
        operation = await service.store.operations.find(number)
        if operation is None or operation.kind != KIND:
            raise UsageError(f"--resume {number}: there is no such replay")
        require_free(operation, service.clock.now())
        plan = Plan.model_validate(operation.details)
        work = replay_of(service, plan if rate is None else plan.model_copy(update={"rate": rate}))
        with complaints.status("Counting …"):
            tally = await work.count()
        await _send(partial(work.resume, operation, who, reason), operation, tally.records)


async def _send(work: _Work, operation: Operation, total: int) -> None:
    try:
        with _progress(operation.progress.get("sent", 0), total) as advance:
            ended = await work(advance)
    except (UsageError, LeaseLost):
        raise  # nothing has begun, or somebody else goes on with it
    except BaseException:
        complaints.print(f"It can be gone on with: corelib replay --resume {operation.id}", soft_wrap=True)
        raise
    console.print(f"Sent {ended.progress['sent']} events again. It is written down as {operation.id}.", soft_wrap=True)


@contextmanager
def _progress(sent: int, total: int) -> Iterator[Callable[[int], None]]:
    """Show how far it is: as a bar on a terminal, to a log in a line at each tenth; gives what hears of each batch."""
    if complaints.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=complaints) as bar:
            task = bar.add_task("Sending", total=total, completed=sent)
            yield lambda count: bar.advance(task, count)
    else:
        yield _Lines(sent, total or 1).advance  # what is parked may have gone since


@dataclass
class _Lines:
    """How far it is, a line at each tenth."""

    sent: int
    total: int

    def advance(self, count: int) -> None:
        """Hear of a batch."""
        before, self.sent = self.sent, self.sent + count
        if self.sent * 10 // self.total > before * 10 // self.total:
            complaints.print(f"Sending: {self.sent} of {self.total}.", highlight=False)


def _show(tally: Tally) -> None:
    console.print(f"{tally.records} events" + (f", from {tally.first} to {tally.last}." if tally.records else "."))
    table = Table("type", "events")
    for kind, count in sorted(tally.types.items()):
        table.add_row(kind, str(count))
    if tally.records:
        console.print(table)
    if tally.forgotten:
        console.print(f"{tally.forgotten} of them are older than inboxes remember: a consumer that has one parks them.")


def _require_known(service: Service, absent: AbstractSet[str]) -> None:
    """Raise `UsageError` for a type of which there is nothing and never may be; an older release's may be there."""
    known = {event.type for event in service.publishes} | {route.event.type for route in service.routes}
    if unknown := ", ".join(sorted(absent - known)):
        listed = ", ".join(sorted(known))
        raise UsageError(f"--type {unknown}: there is nothing of it, and the service's types are {listed}")


def _require_only(context: typer.Context, allowed: frozenset[str]) -> None:
    """Raise `UsageError` for what would change the events of a replay that has begun, or where they go."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name not in allowed and source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"{parameter.opts[0]}: --resume goes on with what was chosen when the replay began")


def _moment(text: str, option: str) -> datetime | None:
    if not text:
        return None
    ago = _AGO.fullmatch(text)
    if ago:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: give a time as 2026-11-25T08:00, or a duration as 90m, 2h, 3d") from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)
