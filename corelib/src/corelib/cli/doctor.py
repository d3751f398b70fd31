"""`corelib doctor`: what is wrong with a service's messaging, and what to do."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from corelib.cli.frame import FINDINGS, console, run, service_of
from corelib.doctor.examination import examine
from corelib.doctor.finding import Case, Finding, Level

# A relay renews its lease every two seconds.
_WATCH_SECONDS = 3.0
_COLOURS = {Level.PROBLEM: "bold red", Level.WARNING: "yellow", Level.NOTE: "dim"}


def doctor(
    context: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For machines: a list of findings")] = False,
) -> None:
    """Say in plain words what is wrong with a service's outbox, relays, consumers and brokers, and what to do.

    It sends and moves nothing. It takes some seconds: a relay is looked at twice, to tell a stalled one from an idle.
    Exit code 0: nothing to do (notes may be told); 1: there are problems or warnings.

    Example: `corelib --app svc_order doctor --json | jq '.[] | select(.level == "problem")'`
    """
    found = run(examine(Case(service_of(context), watch=lambda: asyncio.sleep(_WATCH_SECONDS))))
    if as_json:
        console.print_json(json.dumps([asdict(finding) for finding in found]))
    else:
        _show(found)
    if any(finding.level is not Level.NOTE for finding in found):
        raise typer.Exit(FINDINGS)


def _show(found: list[Finding]) -> None:
    for finding in found:
        colour = _COLOURS[finding.level]
        console.print(f"[{colour}]{finding.level}[/] {escape(finding.about)}: {escape(finding.what)}", soft_wrap=True)
        if finding.remedy:
            console.print(f"  -> {escape(finding.remedy)}", soft_wrap=True)
    if all(finding.level is Level.NOTE for finding in found):
        console.print("Nothing is wrong.")
