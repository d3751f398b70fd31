"""What `gitops/` is told of the cloud: names that Terraform gives, as files that Kustomize takes them from.

A name that a plan knows stands in the tree before anything exists; what only an apply tells (the brokers' addresses) is
written when it is known, by the same command, and is kept from then on.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from iac.errors import IacError
from iac.places import ENVIRONMENTS, GITOPS

Outputs = Mapping[str, Any]
NAMESPACE = "souk"
_SETTINGS = ("settings", "kafka")
"""The outputs that are environment variables of every service."""
_WORKLOADS = "workloads"
_HEADER = "# Made by `python -m iac names`.\n"


def of_plan(plan: Mapping[str, Any]) -> Outputs:
    """Return the outputs of a plan's JSON, without what it does not know yet."""
    return {name: change["after"] for name, change in plan["output_changes"].items() if "after" in change}


def applied(text: str) -> Outputs:
    """Return the outputs that `terraform output -json` tells. Raises `IacError`."""
    try:
        outputs = {name: output["value"] for name, output in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise IacError(f"these are not the outputs that `terraform output -json` tells: {error!r}") from error
    if missing := [name for name in (*_SETTINGS, _WORKLOADS) if name not in outputs]:
        raise IacError(f"{', '.join(missing)} not among the outputs: are they of the stack on AWS, and is it applied?")
    return outputs


def settings_file(environment: str) -> Path:
    """Return where the settings of an environment lie."""
    return GITOPS / "environments" / environment / "cloud.env"


def accounts_file() -> Path:
    """Return where the service accounts lie: they are the same in each environment."""
    return GITOPS / "base" / "service-accounts.yaml"


def settings(outputs: Outputs, before: str = "") -> str:
    """Return the settings of an environment; what outputs do not know stays as it was `before`."""
    known = {name: value for output in _SETTINGS for name, value in (outputs.get(output) or {}).items()}
    lines = {**parsed(before), **known}
    return _HEADER + "".join(f"{name}={value}\n" for name, value in sorted(lines.items()))


def parsed(text: str) -> dict[str, str]:
    """Return the settings that a file holds."""
    lines = (line.partition("=") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in lines}


def accounts(outputs: Outputs) -> str:
    """Return the service accounts to which Terraform gives roles, of our own namespace."""
    names = sorted(
        workload["service_account"] for workload in outputs[_WORKLOADS].values() if workload["namespace"] == NAMESPACE
    )
    documents = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}}
        for name in names
    ]
    return _HEADER + str(yaml.safe_dump_all(documents, sort_keys=False))


def write(environment: str, outputs: Outputs) -> None:
    """Write the files of an environment anew. Raises `IacError` where there is no such environment."""
    if environment not in ENVIRONMENTS:
        raise IacError(f"there is no environment {environment!r}: it is one of {', '.join(ENVIRONMENTS)}")
    file = settings_file(environment)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(settings(outputs, file.read_text() if file.exists() else ""))
    accounts_file().write_text(accounts(outputs))
