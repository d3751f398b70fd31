"""`python -m devstack`: the stack from the command line."""

import asyncio
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from devstack.errors import DevstackError
from devstack.java import java
from devstack.process import tail
from devstack.settings import StackSettings
from devstack.stack import Stack

app = typer.Typer(
    help="The whole shop on this machine.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
_INTERRUPTED = 130
_FOLLOW_SECONDS = 0.3


def main() -> None:
    """Run the command line; an expected failure is a message and an exit code, not a traceback."""
    try:
        app()
    except DevstackError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            name = str(problem["loc"][0])
            variable = name if name.isupper() else f"SOUK_{name}".upper()
            print(f"{variable} is {problem['input']!r}: {problem['msg']}", file=sys.stderr)
        sys.exit(2)


@app.command()
def up(only: Annotated[str, typer.Option(help="Start only these parts: postgres,kafka,aws")] = "") -> None:
    """Start everything that does not run yet, and leave it running."""
    stack = Stack(StackSettings())
    began = time.monotonic()
    if _run(stack.up([name for name in only.split(",") if name])):
        print(f"Up after {time.monotonic() - began:.1f} s.")
    else:
        print("Already running.")
    Console().print(_run(stack.status()))


@app.command()
def down() -> None:
    """Stop everything, keep the data."""
    _run(Stack(StackSettings()).down())
    print("Everything is stopped.")


@app.command()
def status() -> None:
    """Show every part, its process, its health and its address."""
    Console().print(_run(Stack(StackSettings()).status()))


@app.command()
def logs(
    part: Annotated[str, typer.Argument(help="A part, e.g. order; without one the end of every log")] = "",
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written")] = False,
) -> None:
    """Show the logs."""
    folder = StackSettings().home / "logs"
    paths = [folder / f"{part}.log"] if part else sorted(folder.glob("*.log"))
    if not paths or not paths[0].exists():
        known = ", ".join(path.stem for path in sorted(folder.glob("*.log"))) or "none yet"
        raise DevstackError(f"There is no such log; there are: {known}.")
    _show(paths, follow=follow)


@app.command()
def reset() -> None:
    """Stop everything and delete its data."""
    _run(Stack(StackSettings()).reset())
    print("Everything is stopped, its data deleted.")


@app.command()
def prerequisites() -> None:
    """Check that this machine has what the stack cannot bring along."""
    settings = StackSettings()
    if settings.analytics or not settings.external_kafka:
        java()


@app.command()
def audit() -> None:
    """Prove across all stores that nothing went missing; exit 1 if something did."""
    from devstack.audit import audit as compare  # noqa: PLC0415 -- the audit's libraries are not needed to start or stop

    result = _run(compare(StackSettings()))
    for finding in result.findings:
        print(f"! {finding}")
    print(f"{len(result.findings)} findings.")
    sys.exit(1 if result.findings else 0)


@app.command()
def demo(*, crash: Annotated[bool, typer.Option(help="Kill services with -9 during the replay")] = False) -> None:
    """Start everything, replay real baskets, prove that nothing went missing."""
    from devstack.demo import Options  # noqa: PLC0415 -- pandas is not needed to start or stop
    from devstack.demo import demo as show  # noqa: PLC0415 -- as above

    sys.exit(_run(show(Options(crash=crash), StackSettings(), Console())))


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end; Ctrl-C and SIGTERM cancel the work, which then cleans up, once."""

    async def cancellable() -> Any:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        return await task

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        print("Interrupted: everything this command started is stopped.", file=sys.stderr)
        sys.exit(_INTERRUPTED)


def _show(paths: list[Path], *, follow: bool) -> None:
    many = len(paths) > 1
    read = {path: path.stat().st_size for path in paths}
    for path in paths:
        for line in tail(path, 20 if many else 200):
            print(f"{path.stem:>10} | {line}" if many else line)
    while follow:
        for path in paths:
            with path.open("rb") as file:
                file.seek(read[path])
                # A line still being written is left for the next turn.
                whole, newline, _ = file.read().rpartition(b"\n")
            read[path] += len(whole + newline)
            for line in whole.decode(errors="replace").splitlines():
                print(f"{path.stem:>10} | {line}" if many else line, flush=True)
        time.sleep(_FOLLOW_SECONDS)
