"""What goes wrong here, in one tree."""


class IacError(Exception):
    """Raised with a sentence that says what to do; the command line prints it without a traceback."""


class TerraformFailed(IacError):
    """Raised when Terraform ends with an error; `output` is all that it said."""

    def __init__(self, command: str, output: str) -> None:
        super().__init__(f"terraform {command} failed:\n{output}")
        self.command = command
        self.output = output


class NoProvider(IacError):
    """Raised when no folder with the AWS provider is found."""


class PoliciesUnreadable(IacError):
    """Raised when terraform-compliance ends without a report."""
