"""Each module's own tests, its format, and what its variables say when they refuse something."""

import re
import shutil
from pathlib import Path

import pytest

from iac.places import ROOM
from iac.workspace import Workspace

_STACKS = ("aws", "bootstrap")
_MODULES = sorted(str(path.parent.relative_to(ROOM)) for path in (ROOM / "modules").glob("*/*/main.tf"))
_MESSAGE = re.compile(r'error_message\s+= "(.+)"')
_RUN = re.compile(r'^run "refuses_', re.MULTILINE)
_VALIDATION = re.compile(r"^  validation \{", re.MULTILINE)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the room's Terraform, so that the tree stays clean."""
    for part in ("modules", *_STACKS):
        shutil.copytree(ROOM / part, tmp_path / part, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    (tmp_path / "aws" / "local_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    return tmp_path


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize("module", [*_MODULES, "aws"])
def test_a_module_takes_what_is_allowed_and_refuses_the_rest(module: str, copy: Path) -> None:
    there = Workspace(copy, module)
    there.init()
    assert "0 failed" in there.run("test", "-no-color")


@pytest.mark.usefixtures("provider")
def test_bootstrap_is_valid(copy: Path) -> None:
    there = Workspace(copy, "bootstrap")
    there.init()
    assert "valid" in there.run("validate", "-no-color")


def test_everything_is_formatted(tmp_path: Path) -> None:
    shutil.copytree(ROOM / "modules", tmp_path / "modules")
    for stack in _STACKS:
        shutil.copytree(ROOM / stack, tmp_path / stack)
    assert Workspace(tmp_path, ".").run("fmt", "-check", "-recursive") == ""


@pytest.mark.parametrize("module", [*_MODULES, "aws"])
def test_each_validation_has_a_test_and_a_message_that_says_what_is_allowed(module: str) -> None:
    variables = (ROOM / module / "variables.tf").read_text()
    tests = (ROOM / module / "tests" / "validation.tftest.hcl").read_text()
    assert len(_RUN.findall(tests)) >= len(_VALIDATION.findall(variables))
    messages = _MESSAGE.findall(variables)
    assert len(messages) == len(_VALIDATION.findall(variables))
    assert all("must" in message for message in messages)


@pytest.mark.parametrize("module", _MODULES)
def test_a_module_has_its_four_files_and_a_readme(module: str) -> None:
    wanted = {"main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md", "tests"}
    assert {entry.name for entry in (ROOM / module).iterdir() if not entry.name.startswith(".")} == wanted
