"""A copy of a stack to work on: the tree stays clean, and a test may change what it likes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iac import package
from iac.errors import TerraformFailed
from iac.places import ROOM, plugins

LOCAL_ACCOUNT = "000000000000"

_LOCAL_STATE = 'terraform {\n  backend "local" {}\n}\n'
_OFFLINE = """provider "aws" {
  allowed_account_ids         = []
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  skip_region_validation      = true
}
"""
_EMULATED = """provider "aws" {
  skip_metadata_api_check = true
  skip_region_validation  = true
  s3_use_path_style       = true
}
"""


@dataclass(frozen=True)
class Workspace:
    """A stack with its modules in a folder; without an endpoint it can plan, but not apply."""

    folder: Path
    stack: str
    endpoint: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """Where Terraform runs."""
        return self.folder / self.stack

    def lay(self) -> None:
        """Copy the stack with its modules, keep its state in the folder, and point it at the endpoint."""
        for part in {self.stack, "modules"}:
            shutil.copytree(ROOM / part, self.folder / part, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        override = (_EMULATED if self.endpoint else _OFFLINE) + (_LOCAL_STATE if self.stack == "aws" else "")
        (self.home / "local_override.tf").write_text(override)
        package.build(self.home / "notify.zip")

    def init(self) -> None:
        """Prepare the folder, with the providers of this machine."""
        self.run("init", "-input=false", "-no-color", f"-plugin-dir={plugins()}")

    def plan(self, environment: str, *, out: str = "plan", refresh: bool = True) -> dict[str, Any]:
        """Plan an environment; return the plan's JSON."""
        files = [f"-var-file=environments/{environment}.tfvars"] if self.stack == "aws" else []
        values = [f"-var={name}={value}" for name, value in self.variables.items()]
        fresh = ["-refresh=false"] if self.endpoint is None or not refresh else []
        self.run("plan", "-input=false", "-no-color", f"-out={out}", *files, *values, *fresh)
        return self.show(out)

    def show(self, file: str = "") -> dict[str, Any]:
        """Return a plan, or the state, as JSON."""
        shown: dict[str, Any] = json.loads(self.run("show", "-json", *([file] if file else [])))
        return shown

    def apply(self, plan: str = "plan") -> str:
        """Apply a plan; return what Terraform said. Raises `TerraformFailed`."""
        return self.run("apply", "-input=false", "-no-color", "-parallelism=30", plan)

    def forget(self, *addresses: str) -> None:
        """Take resources out of the state without touching them."""
        self.run("state", "rm", *addresses)

    def destroy(self, environment: str) -> str:
        """Destroy everything in the state."""
        files = [f"-var-file=environments/{environment}.tfvars"] if self.stack == "aws" else []
        values = [f"-var={name}={value}" for name, value in self.variables.items()]
        return self.run("destroy", "-auto-approve", "-input=false", "-no-color", "-parallelism=30", *files, *values)

    def outputs(self) -> dict[str, Any]:
        """Return the outputs by name."""
        return {name: output["value"] for name, output in json.loads(self.run("output", "-json")).items()}

    def run(self, command: str, *arguments: str) -> str:
        """Run Terraform; return its standard output. Raises `TerraformFailed`."""
        done = subprocess.run(  # noqa: S603 -- our own interpreter
            (sys.executable, "-m", "iac.core", command, *arguments),
            cwd=self.home,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise TerraformFailed(command, done.stdout + done.stderr)
        return done.stdout

    def _environment(self) -> dict[str, str]:
        # A configuration file that is named but missing makes init fail; ours is empty, and there.
        configuration = self.folder / "terraform.rc"
        configuration.touch()
        calm = {"TF_CLI_CONFIG_FILE": str(configuration), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
        # Visibly false: a plan without an endpoint calls nobody, and an emulator takes anything.
        keys = {"AWS_ACCESS_KEY_ID": "local-not-a-key", "AWS_SECRET_ACCESS_KEY": "local-not-a-secret"}
        there = {"AWS_ENDPOINT_URL": self.endpoint} if self.endpoint else {}
        return {**os.environ, **calm, **keys, "AWS_EC2_METADATA_DISABLED": "true", **there}
