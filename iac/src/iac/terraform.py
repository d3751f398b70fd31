"""Runs Terraform's commands, in a process of their own, away from whatever the caller has configured."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from iac.errors import TerraformFailed

Prepared = tuple[Path, Sequence[str]]
"""A command of Terraform, and the folder to run it in."""

# Visibly false: a plan without an endpoint calls nobody, and an emulator takes anything.
_KEYS = {
    "AWS_ACCESS_KEY_ID": "local-not-a-key",
    "AWS_SECRET_ACCESS_KEY": "local-not-a-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_CORES = os.cpu_count() or 1
_CALM = {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}


def run(commands: Sequence[Prepared], environment: Mapping[str, str]) -> list[str]:
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


def run_apart(groups: Sequence[Sequence[Prepared]], environment: Mapping[str, str]) -> list[list[str]]:
    """Run groups of commands: those of a group one after another, groups at the same time, a process for each core.

    No two groups may share a folder. Raises `TerraformFailed` for one that fails; others may have been run.
    """
    shares = [groups[first::_CORES] for first in range(min(_CORES, len(groups)))]
    with ThreadPoolExecutor(len(shares) or 1) as threads:
        said = list(threads.map(lambda share: run([each for group in share for each in group], environment), shares))
    answers: list[list[str]] = [[] for _ in groups]
    for first, (share, told) in enumerate(zip(shares, said, strict=True)):
        rest = iter(told)
        answers[first::_CORES] = [[next(rest) for _ in group] for group in share]
    return answers


def without_configuration(folder: Path) -> dict[str, str]:
    """Return the variable that keeps the user's own configuration of Terraform out."""
    # A file that is named but missing makes init fail; this one is empty, and there.
    configuration = folder / "terraform.rc"
    configuration.touch()
    return {"TF_CLI_CONFIG_FILE": str(configuration)}
