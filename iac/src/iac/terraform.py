"""Runs Terraform's commands, in a process of their own, away from whatever the caller has configured."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from iac.errors import TerraformFailed

# Visibly false: a plan without an endpoint calls nobody, and an emulator takes anything.
_KEYS = {
    "AWS_ACCESS_KEY_ID": "local-not-a-key",
    "AWS_SECRET_ACCESS_KEY": "local-not-a-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_CALM = {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}


def run(commands: Sequence[tuple[Path, Sequence[str]]], environment: Mapping[str, str]) -> list[str]:
    """Run commands, each in its folder, one after another; return what each said.

    Raises `TerraformFailed` for the first that fails; those behind it are not run.
    """
    wanted = [{"in": str(folder), "command": list(command)} for folder, command in commands]
    done = subprocess.run(
        (sys.executable, "-m", "iac.core"),
        input=json.dumps(wanted),
        env={**os.environ, **_KEYS, **_CALM, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise TerraformFailed("itself", done.stdout + done.stderr)
    answers = json.loads(done.stdout)
    for (_, command), answer in zip(commands, answers, strict=False):
        if answer["code"]:
            raise TerraformFailed(command[0], answer["output"] + answer["errors"])
    return [answer["output"] for answer in answers]


def without_configuration(folder: Path) -> dict[str, str]:
    """Return the variable that keeps the user's own configuration of Terraform out."""
    # A file that is named but missing makes init fail; this one is empty, and there.
    configuration = folder / "terraform.rc"
    configuration.touch()
    return {"TF_CLI_CONFIG_FILE": str(configuration)}
