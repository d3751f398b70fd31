"""What there is of AWS, made by the platform's own Terraform instead of the services themselves."""

import sys

from devstack import tool
from devstack.errors import DevstackError
from devstack.settings import StackSettings


def refuse_other_stores(settings: StackSettings) -> None:
    """Raise `DevstackError` if the services made their stores themselves before: they would lose sight of them."""
    if (settings.home / "data" / "aws").exists() and not settings.outputs_file.exists():
        raise DevstackError(
            "What there is of AWS was made without Terraform: `make reset` deletes it, then IAC=1 works."
        )


async def apply(settings: StackSettings) -> None:
    """Apply the AWS modules to the emulator; leave their outputs where the settings look for them.

    A process of its own: the room `iac` builds on this one.
    """
    folder = settings.outputs_file.parent
    await tool.run((sys.executable, "-m", "iac", "local", str(folder), "--endpoint", settings.aws_endpoint_url))
