"""What every command has in common: the service it is about, its console, its errors as one sentence each."""

import asyncio
import getpass
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, TypeVar

import structlog
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from corelib.cli.target import Target
from corelib.errors import CorelibError, SettingsError, UsageError
from corelib.service import Resource, Service

T = TypeVar("T")

OK, FINDINGS, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: all is well; something was found or failed; the command was wrong; Ctrl-C."""

# In a pipe there is no width to keep to, and whoever reads it wants each row on a line.
_PIPED_COLUMNS = 1_000

console = Console()
complaints = Console(stderr=True)


def application(**settings: Any) -> typer.Typer:
    """Return an empty command line in our form."""
    return typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        **settings,
    )


Who = Annotated[str, typer.Option(envvar="CORELIB_WHO", help="Who, for the audit [default: user@host]")]


def me() -> str:
    """Return who gives the command, as far as the machine knows."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows as they are, nothing of them cut off: a key is copied from here into the next command."""
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    piped = not console.is_terminal and "COLUMNS" not in os.environ
    (Console(width=_PIPED_COLUMNS) if piped else console).print(table)


def service_of(context: typer.Context, **changes: Any) -> Service:
    """Build the service that `--app` names. Raises `UsageError` or `SettingsError`."""
    target: Target = context.obj
    return target.service(**changes)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; Ctrl-C and SIGTERM cancel the work, which then puts its things in order."""

    async def cancellable() -> T:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        return await task

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


@asynccontextmanager
async def opened(service: Service, *beside: Resource) -> AsyncIterator[Service]:
    """Open a service's store, and what of its brokers and resources is wanted beside it, but none of its parts.

    Raises `Unavailable`.
    """
    async with AsyncExitStack() as stack:
        await service.store.open(service.origin)
        stack.push_async_callback(service.store.close)
        for each in beside:
            stack.push_async_callback(each.close)
            await each.open()
        yield service


def spoken(command: Callable[[], object]) -> int:
    """Run a command line; return its exit code, with what went wrong in one sentence instead of a traceback."""
    _log_to_the_side()
    try:
        command()
    except (SettingsError, UsageError) as error:
        complaints.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return USAGE
    except (CorelibError, ValidationError) as error:
        complaints.print(f"Failed: {error}", markup=False, highlight=False, soft_wrap=True)
        return FINDINGS
    except SystemExit as end:
        # That is what typer makes of a KeyboardInterrupt.
        if end.code == INTERRUPTED:
            complaints.print("Interrupted.")
        return end.code if isinstance(end.code, int) else USAGE
    return OK


def _log_to_the_side() -> None:
    """Send warnings to standard error, looked up anew each time; standard output is for what was asked."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
