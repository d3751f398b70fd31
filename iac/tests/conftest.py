"""What takes long and needs nothing else is begun together, so that no core waits for a single process."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from iac import providers, tables, terraform
from iac.environments import tool
from iac.places import ENVIRONMENTS, ROOM, STACKS
from iac.workspace import Workspace

_CHECKOV_SECONDS = 110
Plans = dict[str, dict[str, Any]]


def _planned(stack: str, folder: Path) -> Plans:
    there = Workspace(folder, stack)
    there.lay()
    there.init()
    return dict(zip(ENVIRONMENTS, there.plans(*ENVIRONMENTS), strict=True))


def _checkov(_: Path) -> dict[str, Any]:
    options = ("--framework", "terraform", "--skip-download", "--quiet", "--compact", "--output", "json")
    program = str(tool("checkov") / "checkov")
    done = subprocess.run(
        (program, "--directory", str(ROOM), *options),
        capture_output=True,
        text=True,
        timeout=_CHECKOV_SECONDS,
        check=False,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _tested(there: Path) -> dict[str, str]:
    for part in ("modules", *STACKS):
        shutil.copytree(ROOM / part, there / part, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    for stack in ("aws", "gcp"):
        (there / stack / "local_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    tested = (*(str(module.relative_to(ROOM)) for module in tables.modules()), *STACKS)
    prepared = [
        [
            (there / name, ("init", "-input=false", "-no-color", *providers.arguments(there / name))),
            (there / name, ("test", "-no-color")),
        ]
        for name in tested
    ]
    answers = terraform.run_apart(prepared, terraform.without_configuration(there))
    return {name: said for name, (_, said) in zip(tested, answers, strict=True)}


# In the order in which they are wanted.
_LONG: dict[str, Callable[[Path], Any]] = {
    "plans": partial(_planned, "aws"),
    "gcp_plans": partial(_planned, "gcp"),
    "checkov": _checkov,
    "modules_said": _tested,
}
_LAST = ("checkov", "modules_said")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests that only wait for a long process come last in the room: the others run meanwhile."""
    here = Path(__file__).parent
    places = [at for at, item in enumerate(items) if item.path.is_relative_to(here)]
    ours = sorted((items[at] for at in places), key=lambda item: any(name in _LAST for name in _fixtures(item)))
    for at, item in zip(places, ours, strict=True):
        items[at] = item


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


class Begun:
    """The long processes of a run, each begun once."""

    def __init__(self, threads: ThreadPoolExecutor, folders: pytest.TempPathFactory) -> None:
        self._threads = threads
        self._folders = folders
        self._begun: dict[str, Future[Any]] = {}

    def begin(self, name: str) -> Future[Any]:
        """Begin one, unless it has begun."""
        if name not in self._begun:
            self._begun[name] = self._threads.submit(_LONG[name], self._folders.mktemp(name))
        return self._begun[name]


@pytest.fixture(scope="session")
def begun(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    """Begin what the tests of this run are known to wait for."""
    wanted = {name for item in request.session.items for name in _fixtures(item)}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        begun = Begun(threads, tmp_path_factory)
        for name in _LONG:
            if name in wanted:
                begun.begin(name)
        yield begun


@pytest.fixture(scope="session")
def plans(begun: Begun) -> Plans:
    """The plans of AWS in all environments, made without a cloud."""
    found: Plans = begun.begin("plans").result()
    return found


@pytest.fixture(scope="session")
def gcp_plans(begun: Begun) -> Plans:
    """The plans of Google Cloud."""
    found: Plans = begun.begin("gcp_plans").result()
    return found


@pytest.fixture(scope="session")
def checkov(begun: Begun) -> dict[str, Any]:
    """What checkov says of the room."""
    found: dict[str, Any] = begun.begin("checkov").result()
    return found


@pytest.fixture(scope="session")
def modules_said(begun: Begun) -> dict[str, str]:
    """What `terraform test` says of each module and stack."""
    found: dict[str, str] = begun.begin("modules_said").result()
    return found
