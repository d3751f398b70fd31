"""Runs the examples of the pages: Python with `await` at the top, its tests, `corelib` commands and shell lines."""

import ast
import asyncio
import contextlib
import inspect
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
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
from corelib.testing.running import free_port

_HERE = Path(__file__).parent
_CURL = 'curl() { command curl --silent --show-error --fail-with-body "$@"; }\n'


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


def _shell(example: Example) -> str | None:
    """Run shell lines at the root: `make` says only what it would do, and any answer of an error is a failure."""
    if missing := [name for name in ("curl", "jq") if name in example.parsed and not shutil.which(name)]:
        pytest.skip(f"{' and '.join(missing)} is not installed")
    port = example.namespace.setdefault("_port", str(free_port()))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SOUK_", "CORELIB_"))}
    environment |= {"SOUK_PORT": port, "MAKEFLAGS": "n"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    lines = example.parsed.replace(":8082", f":{port}")  # which somebody may use
    with tempfile.TemporaryFile() as said:
        bash = subprocess.Popen(  # noqa: S603 -- our own pages
            ["bash", "-euo", "pipefail", "-c", _CURL + lines],  # noqa: S607 -- as above
            cwd=_HERE.parent,
            env=environment,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        example.namespace.setdefault("_groups", []).append(bash.pid)
        code = bash.wait(60)
        said.seek(0)
        return f"{lines}\nended with {code}:\n{said.read().decode()}" if code else None


def _flat(text: str) -> str:
    """Return a text without its white space: how lines are broken says nothing."""
    return "".join(text.split())


def _close(namespace: dict[str, Any]) -> None:
    runner = namespace.get("_runner")
    if isinstance(runner, asyncio.Runner):
        runner.close()
    for group in namespace.get("_groups", []):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)


pytest_collect_file = Sybil(
    parsers=[
        CodeBlockParser(language="python", evaluator=_python),
        CodeBlockParser(language="console", evaluator=_console),
        CodeBlockParser(language="sh", evaluator=_shell),
        SkipParser(),
    ],
    patterns=["*.md"],
    excludes=["infrastructure*.md", "decisions/*.md"],
    fixtures=["shop"],
    teardown=_close,
).pytest()
