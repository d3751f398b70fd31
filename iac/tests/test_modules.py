"""Each module's own tests, its format, and what its variables say when they refuse something."""

import re
import shutil
from pathlib import Path

import pytest

from iac import providers, terraform
from iac.errors import TerraformFailed
from iac.places import ROOM

_STACKS = ("aws", "bootstrap", "gcp")
_MODULES = sorted(str(path.parent.relative_to(ROOM)) for path in (ROOM / "modules").glob("*/*/main.tf"))
_TESTED = (*_MODULES, "aws", "gcp")
_MESSAGE = re.compile(r'error_message\s+= "(.+)"')
_RUN = re.compile(r'^run "', re.MULTILINE)
_REFUSAL = re.compile(r'^run "refuses_', re.MULTILINE)
_VALIDATION = re.compile(r"^  validation \{", re.MULTILINE)


def _copy(folder: Path) -> Path:
    for part in ("modules", *_STACKS):
        shutil.copytree(ROOM / part, folder / part, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    return folder


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `terraform test` says of each module, and `terraform validate` of the bootstrap; all in one process."""
    there = _copy(tmp_path_factory.mktemp("modules"))
    for stack in ("aws", "gcp"):
        (there / stack / "local_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    commands = dict.fromkeys(_TESTED, ("test", "-no-color")) | {"bootstrap": ("validate", "-no-color")}
    prepared = [
        (there / name, command)
        for name, wanted in commands.items()
        for command in (("init", "-input=false", "-no-color", *providers.arguments(there / name)), wanted)
    ]
    answers = terraform.run(prepared, terraform.without_configuration(there))[1::2]
    return dict(zip(commands, answers, strict=True))


@pytest.mark.timeout(300)  # some four hundred small plans
def test_modules_take_what_is_allowed_and_refuse_the_rest(said: dict[str, str]) -> None:
    assert {name for name, answer in said.items() if "Success! " in answer} == {*_TESTED, "bootstrap"}
    for name in _TESTED:
        passed = re.search(r"Success! (\d+) passed, 0 failed", said[name])
        assert passed, said[name]
        assert int(passed[1]) == len(_RUN.findall(_tests(name)))


def test_everything_is_formatted(tmp_path: Path) -> None:
    there = _copy(tmp_path)
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
def test_a_module_has_its_four_files_and_a_readme(module: str) -> None:
    wanted = {"main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md", "tests"}
    assert wanted <= {entry.name for entry in (ROOM / module).iterdir()}


def _tests(module: str) -> str:
    return (ROOM / module / "tests" / "validation.tftest.hcl").read_text()
