"""Runs the examples of the pages: Python with `await` at the top, its tests, `corelib` commands and shell lines."""

import ast
import asyncio
import contextlib
import inspect
import io
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any
from uuid import uuid4

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from corelib.cli.frame import console
from corelib.cli.main import main

_HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def shop(database: str, kafka_bootstrap: str) -> Iterator[None]:
    """Name the pages' service, on a database and topics that no other page uses."""
    with pytest.MonkeyPatch.context() as environment:
        environment.chdir(_HERE)
        environment.syspath_prepend(_HERE)
        environment.setattr(console, "width", 200)
        environment.setenv("CORELIB_APP", "shop")
        environment.setenv("CORELIB_WHO", "ann@desk-7")
        environment.setenv("SOUK_POSTGRES_DSN", database)
        environment.setenv("SOUK_KAFKA_BOOTSTRAP", kafka_bootstrap)
        environment.setenv("SOUK_KAFKA_PREFIX", f"t{uuid4().hex[:8]}-")
        environment.setenv("SOUK_LOG_FORMAT", "text")
        yield


def _python(example: Example) -> None:
    """Run a block in its page's names, then the tests that it defines; all blocks of a page share one event loop."""
    known = set(example.namespace)
    code: CodeType = compile(
        example.parsed, str(example.path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    _run(lambda: eval(code, example.namespace), example.namespace)  # noqa: S307 -- our own pages
    for name in example.namespace.keys() - known:
        if name.startswith("test_"):
            _run(example.namespace[name], example.namespace)


def _run(work: Callable[[], object], namespace: dict[str, Any]) -> None:
    runner = namespace.setdefault("_runner", asyncio.Runner())
    result = work()
    if inspect.iscoroutine(result):
        runner.run(result)


def _console(example: Example) -> str | None:
    """Give each `corelib` command; what it says must be what stands below it, `...` for what differs each time."""
    for command, expected in re.findall(r"^\$ corelib (.+)\n((?:(?!\$ ).*\n?)*)", example.parsed, re.MULTILINE):
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            main(shlex.split(command))
        pattern = ".*".join(re.escape(_flat(part)) for part in expected.split("..."))
        if not re.fullmatch(pattern, _flat(said.getvalue()), re.DOTALL):
            return f"$ corelib {command}\nsays\n{said.getvalue()}\ninstead of\n{expected}"
    return None


def _flat(text: str) -> str:
    """Return a text without its white space: how lines are broken says nothing."""
    return "".join(text.split())


def _close(namespace: dict[str, object]) -> None:
    runner = namespace.get("_runner")
    if isinstance(runner, asyncio.Runner):
        runner.close()


pytest_collect_file = Sybil(
    parsers=[
        CodeBlockParser(language="python", evaluator=_python),
        CodeBlockParser(language="console", evaluator=_console),
        SkipParser(),
    ],
    patterns=["outbox.md", "inbox.md", "actors.md", "relay.md", "replay.md", "doctor.md", "operations.md", "testing.md"],
    fixtures=["shop"],
    teardown=_close,
).pytest()
