"""A copy of a stack to work on: the tree stays clean, and a test may change what it likes."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iac import package, providers, terraform
from iac.places import ROOM

LOCAL_ACCOUNT = "000000000000"

# Beside the stack, which may be laid anew.
_LOCAL_STATE = 'terraform {\n  backend "local" {\n    path = "../terraform.tfstate"\n  }\n}\n'
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
# What the stack on AWS would tell, as it looks: a plan without a cloud has nobody to ask.
_TOLD = {
    "gcp": {
        "aws_side": '{ vpc_id = "vpc-0123456789abcdef0", vpc_cidr = "10.40.0.0/16", '
        'route_table_id = "rtb-0123456789abcdef0", kafka_bootstrap = "b-1.souk.kafka.ap-south-1.amazonaws.com:9098" }'
    }
}


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
            shutil.rmtree(self.folder / part, ignore_errors=True)
            shutil.copytree(ROOM / part, self.folder / part, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        override = (_EMULATED if self.endpoint else _OFFLINE) + (_LOCAL_STATE if self._has_environments else "")
        (self.home / "local_override.tf").write_text(override)
        package.build(self.home / "notify.zip")

    def init(self) -> None:
        """Prepare the folder, with the providers of this machine."""
        self.run(*self.preparation())

    def plan(self, environment: str, *, out: str = "plan") -> dict[str, Any]:
        """Plan an environment; return the plan's JSON."""
        return self.plans(environment, out=out)[0]

    def plans(self, *environments: str, out: str = "plan") -> list[dict[str, Any]]:
        """Plan environments one after another; return each plan's JSON."""
        commands = [command for environment in environments for command in self.planning(environment, out)]
        return [json.loads(shown) for shown in self.run_all(*commands)[1::2]]

    def show(self, file: str = "") -> dict[str, Any]:
        """Return a plan, or the state, as JSON."""
        shown: dict[str, Any] = json.loads(self.run("show", "-json", *([file] if file else [])))
        return shown

    def apply(self, plan: str = "plan") -> str:
        """Apply a plan; return what Terraform said. Raises `TerraformFailed`."""
        return self.run("apply", "-input=false", "-no-color", "-parallelism=30", plan)

    def apply_only(self, environment: str, targets: Sequence[str]) -> str:
        """Apply parts of an environment, with what they need."""
        calm = ("-auto-approve", "-input=false", "-no-color", "-parallelism=30")
        return self.run("apply", *calm, *self._values(environment), *(f"-target={target}" for target in targets))

    def addresses(self) -> list[str]:
        """Return the addresses of all resources in the state."""
        return self.run("state", "list").split() if (self.folder / "terraform.tfstate").exists() else []

    def forget(self, *addresses: str) -> None:
        """Take resources out of the state without touching them."""
        self.run("state", "rm", *addresses)

    def destroy(self, environment: str) -> str:
        """Destroy everything in the state."""
        calm = ("-auto-approve", "-input=false", "-no-color", "-parallelism=30")
        return self.run("destroy", *calm, *self._values(environment))

    def outputs(self) -> dict[str, Any]:
        """Return the outputs by name."""
        return {name: output["value"] for name, output in json.loads(self.run("output", "-json")).items()}

    def run(self, *command: str) -> str:
        """Run a command of Terraform; return what it said. Raises `TerraformFailed`."""
        return self.run_all(command)[0]

    def run_all(self, *commands: Sequence[str]) -> list[str]:
        """Run commands in one process; return what each said. Raises `TerraformFailed` for the first that fails."""
        return terraform.run([(self.home, command) for command in commands], self.environment())

    def preparation(self) -> Sequence[str]:
        """Return the command that prepares the folder."""
        return ("init", "-input=false", "-no-color", *providers.arguments(self.home))

    def planning(self, environment: str, out: str) -> tuple[Sequence[str], Sequence[str]]:
        """Return the commands that plan an environment and show the plan."""
        # Without an endpoint there is nobody to ask what is there.
        fresh = [] if self.endpoint else ["-refresh=false"]
        plan = ("plan", "-input=false", "-no-color", f"-out={out}", *self._values(environment), *fresh)
        return plan, ("show", "-json", out)

    def _values(self, environment: str) -> list[str]:
        files = [f"-var-file=environments/{environment}.tfvars"] if self._has_environments else []
        given = {**({} if self.endpoint else _TOLD.get(self.stack, {})), **self.variables}
        return files + [f"-var={name}={value}" for name, value in given.items()]

    @property
    def _has_environments(self) -> bool:
        return (self.home / "environments").is_dir()

    def environment(self) -> dict[str, str]:
        """What Terraform is told by variables."""
        there = {"AWS_ENDPOINT_URL": self.endpoint} if self.endpoint else {}
        return {**terraform.without_configuration(self.folder), **there}


def plan_all(stacks: Sequence[Workspace], environment: str) -> list[dict[str, Any]]:
    """Prepare stacks that nobody else touches, plan each; return the plans' JSON."""
    groups = [
        [(stack.home, command) for command in (stack.preparation(), *stack.planning(environment, "plan"))]
        for stack in stacks
    ]
    return [json.loads(shown) for _, _, shown in terraform.run_apart(groups, stacks[0].environment())]
