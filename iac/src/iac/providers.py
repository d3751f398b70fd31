"""Where Terraform finds its providers here: the real one for AWS where this machine has it, stand-ins for the rest."""

from pathlib import Path

from iac.errors import NoProvider
from iac.places import plugins
from iac.standin.mirror import mirror


def arguments(stack: Path) -> list[str]:
    """Return the arguments of `terraform init` that name the folders with the providers of a stack or a module."""
    wanted = (stack / "versions.tf").read_text()
    folders = [_aws()] if "hashicorp/aws" in wanted else []
    folders += [mirror("google")] if "hashicorp/google" in wanted else []
    return [f"-plugin-dir={folder}" for folder in folders]


def _aws() -> Path:
    try:
        return plugins()
    except NoProvider:
        return mirror("aws")
