"""`corelib parked`: what could not be handled or sent, and what waits behind it: look at it, retry or skip it."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import orjson
import typer

from corelib.broker import Publisher
from corelib.cli import frame
from corelib.cli.frame import FINDINGS, Who, console, me, opened, run, service_of, show_table
from corelib.consumer.resume import resume
from corelib.errors import UsageError
from corelib.execution import Execution, executing
from corelib.operation import Operation
from corelib.parking import RELAY, Resumed
from corelib.relay.parking import relay_of, resend
from corelib.service import Service
from corelib.store import Failure, Parked, Queue

T = TypeVar("T")

HELP = """What a handler could not handle, or a relay not send, and what waits behind it.

An event that fails for good is parked together with its key: later events of the key wait behind it, in order, and
other keys flow. `retry` handles what is parked here and now, in order, with the service running or not; when the
last one is handled the key flows again, and a running service needs not be told. What a relay has parked, as
`relay-kafka/orders`, is sent instead, to the topic or queue that did not take it; each minute relays try that, too.
"""

app = frame.application(help=HELP)

_Handler = Annotated[str, typer.Argument(metavar="HANDLER", help="As `list` shows it")]
_Key = Annotated[str, typer.Argument(metavar="KEY", help="As `list` shows it")]
_SomeHandler = Annotated[str | None, typer.Argument(metavar="[HANDLER]", help="As `list` shows it")]
_SomeKey = Annotated[str | None, typer.Argument(metavar="[KEY]", help="As `list` shows it")]
_All = Annotated[bool, typer.Option("--all", help="Every key, or every key of HANDLER")]
_Reason = Annotated[str, typer.Option(help="Why, for the audit")]


@app.command("list")
def list_(
    context: typer.Context, *, limit: Annotated[int, typer.Option(min=1, help="So many keys at most")] = 100
) -> None:
    """List the parked keys, with what the first record of each was parked for.

    Example: `corelib --app svc_product parked list`
    """
    queues = run(_queues(service_of(context)))
    if not queues:
        console.print("Nothing is parked.")
        return
    rows = [
        (each.handler, each.key, str(each.records), f"{each.since:%Y-%m-%d %H:%M:%S}", each.reason) for each in queues
    ]
    show_table(("handler", "key", "records", "since", "reason"), rows[:limit])
    if (left := len(queues) - limit) > 0:
        console.print(f"{left} more keys are parked: say --limit {len(queues)} to see them.", highlight=False)


@app.command()
def show(
    context: typer.Context,
    handler: _Handler,
    key: _Key,
    *,
    limit: Annotated[int, typer.Option(min=1, help="So many records at most")] = 20,
) -> None:
    """Show all that is known of a parked key: each record with its headers, its body, and where it failed.

    Example: `corelib --app svc_product parked show Warehouse.order_placed o-17`
    """
    found = _found(run(_parked(service_of(context), handler, key, limit + 1)), handler, key)
    for each in found[:limit]:
        facts = {"channel": each.record.channel, "attempts": str(each.attempts), "parked": each.parked.isoformat()}
        for name, value in {**facts, **dict(each.record.headers)}.items():
            console.print(f"{name}: {value}", markup=False, highlight=False, soft_wrap=True)
        console.print(_body(each.record.payload), markup=False, highlight=False, soft_wrap=True)
        console.print(f"{each.reason}\n{each.traceback}", markup=False, highlight=False, soft_wrap=True)
    if len(found) > limit:
        console.print("More records wait behind this: say a larger --limit to see them.")


@app.command()
def retry(
    context: typer.Context,
    handler: _SomeHandler = None,
    key: _SomeKey = None,
    *,
    everything: _All = False,
    reason: _Reason = "",
    who: Who = "",
) -> None:
    """Handle what is parked again, in order; what goes well is no longer parked. Exit code 1 if something failed again.

    Example: `corelib --app svc_product parked retry Warehouse.order_placed o-17`, or `… retry --all`
    """
    if everything == (key is not None):
        raise UsageError("give HANDLER and KEY, or --all")
    details = {"handler": handler, "key": key, "all": everything}
    if run(_retried(service_of(context), _operation("parked retry", details, reason, who))).failed:
        raise typer.Exit(FINDINGS)


@app.command("skip")
def skip_(context: typer.Context, handler: _Handler, key: _Key, *, reason: _Reason, who: Who = "") -> None:
    """Give up the first record of a key, then handle those behind it. The record is kept with the audit.

    Example: `corelib --app svc_product parked skip Warehouse.order_placed o-17 --reason "test order"`
    """
    details = {"handler": handler, "key": key}
    if run(_skipped(service_of(context), _operation("parked skip", details, reason, who))).failed:
        raise typer.Exit(FINDINGS)


async def _queues(service: Service) -> Sequence[Queue]:
    async with opened(service):
        return await service.store.parking.queues()


async def _parked(service: Service, handler: str, key: str, limit: int) -> Sequence[Parked]:
    async with opened(service):
        return await service.store.parking.list(handler, key, limit=limit)


async def _retried(service: Service, operation: Operation) -> Execution:
    handler, key = operation.details["handler"], operation.details["key"]
    store = service.store
    async with opened(service, *service.resources), executing(store.operations, operation, service.clock) as work:
        everything = [(each.handler, each.key) for each in await store.parking.queues()]
        queues = [queue for queue in everything if handler in (None, queue[0]) and key in (None, queue[1])]
        if key is not None:
            _found(queues, handler, key)
        # One after the other: who fixes a night's trouble does not want all of it back at once.
        for queue in queues:
            if not queue[0].startswith(RELAY):
                await _resume(service, work, *queue)
        await _resend(service, work, [queue for queue in queues if queue[0].startswith(RELAY)])
    return work


async def _skipped(service: Service, operation: Operation) -> Execution:
    handler, key = operation.details["handler"], operation.details["key"]
    store = service.store
    async with opened(service, *service.resources), executing(store.operations, operation, service.clock) as work:
        first = _found(await store.parking.list(handler, key, limit=1), handler, key)[0]
        record = {"headers": first.record.headers, "body": first.record.payload.decode("utf-8", "backslashreplace")}
        await work.save({"skipped": record})
        # This one, not whatever is first by now.
        await store.parking.remove(first)
        console.print(f"Skipped {first.record.header('ce_id') or 'what is no event'}.", soft_wrap=True)
        if handler.startswith(RELAY):
            await _resend(service, work, [(handler, key)])
        else:
            await _resume(service, work, handler, key)
    return work


async def _resume(service: Service, work: Execution, handler: str, key: str) -> None:
    try:
        resumed = await resume(service.store, service.routes, handler, key)
    except UsageError as gone:
        resumed = Resumed(0, Failure(str(gone)))
    _tell(work, handler, key, resumed)


async def _resend(service: Service, work: Execution, queues: Sequence[tuple[str, str]]) -> None:
    """Send what relays have parked, beside them if they run."""
    async with AsyncExitStack() as stack:
        publishers = {name: await _publisher(service, name, stack) for name in {relay_of(each) for each, _ in queues}}
        for handler, key in queues:
            publisher = publishers[relay_of(handler)]
            if publisher is None:
                resumed = Resumed(0, Failure("the service sends nothing this way any more: it can only be skipped"))
            else:
                resumed = await resend(service.store.parking, publisher, handler, key)
            _tell(work, handler, key, resumed)


async def _publisher(service: Service, relay: str, stack: AsyncExitStack) -> Publisher | None:
    publisher = service.brokers.get(relay)
    if publisher is not None:
        await publisher.open()
        stack.push_async_callback(publisher.close)
    return publisher


def _tell(work: Execution, handler: str, key: str, resumed: Resumed) -> None:
    text = f"{handler} {key}: {resumed.handled} handled"
    ending = ", the key flows again"
    if resumed.failure:
        ending = f"; failed again: {resumed.failure.reason}"
        work.failed = work.failed or f"{handler} {key}: {resumed.failure.reason}"
    console.print(f"{text}{ending}", markup=False, highlight=False, soft_wrap=True)


def _operation(kind: str, details: dict[str, Any], reason: str, who: str) -> Operation:
    return Operation(kind, who or me(), reason, details, datetime.now(UTC))


def _found(parked: Sequence[T], handler: str, key: str) -> Sequence[T]:
    if not parked:
        raise UsageError(f"nothing is parked of {key!r} for {handler}: see `corelib parked list`")
    return parked


def _body(payload: bytes) -> str:
    try:
        return orjson.dumps(orjson.loads(payload), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return repr(payload)
