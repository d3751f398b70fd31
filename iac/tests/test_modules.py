"""Each module's own tests, its format, and what its variables say when they refuse something."""

import re
import shutil
from pathlib import Path

import pytest

from iac import tables, terraform
from iac.errors import TerraformFailed
from iac.places import ROOM, STACKS

_MODULES = [str(module.relative_to(ROOM)) for module in tables.modules()]
_TESTED = (*_MODULES, *STACKS)
_MESSAGE = re.compile(r'error_message\s+= "(.+)"')
_RUN = re.compile(r'^run "', re.MULTILINE)
_REFUSAL = re.compile(r'^run "refuses_', re.MULTILINE)
_VARIABLE = re.compile(r'^variable "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
_SWITCH = re.compile(r"type\s+= bool")
_VALIDATION = re.compile(r"^  validation \{", re.MULTILINE)


@pytest.mark.timeout(300)  # some four hundred small plans
def test_modules_take_what_is_allowed_and_refuse_the_rest(modules_said: dict[str, str]) -> None:
    for name in _TESTED:
        passed = re.search(r"Success! (\d+) passed, 0 failed", modules_said[name])
        assert passed, modules_said[name]
        assert int(passed[1]) == len(_RUN.findall(_tests(name)))


@pytest.mark.parametrize("module", _MODULES)
def test_a_modules_example_is_among_its_tests(module: str) -> None:
    assert 'source = "./example"' in _tests(module)


def test_everything_is_formatted(tmp_path: Path) -> None:
    there = shutil.copytree(ROOM, tmp_path / "room", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    try:
        terraform.run([(there, ("fmt", "-check", "-recursive", "-diff"))], terraform.without_configuration(there))
    except TerraformFailed as failed:
        pytest.fail(failed.output)


@pytest.mark.parametrize("module", _TESTED)
def test_each_validation_has_a_test_and_a_message_that_says_what_is_allowed(module: str) -> None:
    variables = (ROOM / module / "variables.tf").read_text()
    assert len(_REFUSAL.findall(_tests(module))) >= len(_VALIDATION.findall(variables))
    messages = _MESSAGE.findall(variables)
    assert len(messages) == len(_VALIDATION.findall(variables))
    assert all("must" in message for message in messages)


@pytest.mark.parametrize("module", _MODULES)
def test_each_variable_but_switches_says_what_it_takes(module: str) -> None:
    blocks = _VARIABLE.findall((ROOM / module / "variables.tf").read_text())
    assert blocks
    assert [name for name, body in blocks if "validation {" not in body and not _SWITCH.search(body)] == []


@pytest.mark.parametrize("module", _MODULES)
def test_a_module_has_its_four_files_an_example_and_a_readme(module: str) -> None:
    wanted = {"main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md", "example", "tests"}
    assert wanted <= {entry.name for entry in (ROOM / module).iterdir()}


def _tests(module: str) -> str:
    return (ROOM / module / "tests" / "validation.tftest.hcl").read_text()
