"""Judges evidence by the policies in `policies/<suite>/*.feature`, with terraform-compliance in its own environment.

There is a suite for each stack that runs something: `aws` and `gcp`.
"""

import json
import re
import subprocess
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from iac.environments import tool
from iac.errors import PoliciesUnreadable
from iac.evidence import resources
from iac.places import POLICIES

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SCENARIO = "Scenario: "
_SECONDS = 300


class Verdict(StrEnum):
    """What a policy says of the evidence; skipped is one that found nothing to judge."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


def scenarios(suite: str = "aws") -> list[str]:
    """Return the names of all policies of a suite."""
    files = sorted((POLICIES / suite).glob("*.feature"))
    lines = (line.strip() for file in files for line in file.read_text().splitlines())
    return [line.removeprefix(_SCENARIO) for line in lines if line.startswith(_SCENARIO)]


def judge(evidence: Mapping[str, Any], suite: str = "aws") -> dict[str, Verdict]:
    """Return the verdict of each policy."""
    return {name: verdict for name, (verdict, _) in report(evidence, suite).items()}


def failures(evidence: Mapping[str, Any], suite: str = "aws") -> dict[str, str]:
    """Return what the failed policies complain about, by name."""
    return {
        name: complaint for name, (verdict, complaint) in report(evidence, suite).items() if verdict is Verdict.FAILED
    }


def blamed(complaint: str, evidence: Mapping[str, Any]) -> set[str]:
    """Return the addresses of the resources that a complaint is about."""
    found = (resource["address"] for resource in resources(evidence))
    return {address for address in found if re.search(rf"(?<![\w.]){re.escape(address)}(?![\w.\[])", complaint)}


def report(evidence: Mapping[str, Any], suite: str = "aws") -> dict[str, tuple[Verdict, str]]:
    """Return each policy's verdict and complaint. Raises `PoliciesUnreadable`."""
    said = _judged(evidence, suite)
    found: dict[str, tuple[Verdict, str]] = {}
    name = ""
    for line in map(str.strip, said.splitlines()):
        if line.startswith(_SCENARIO):
            name = line.removeprefix(_SCENARIO)
            found[name] = Verdict.PASSED, ""
        elif line.startswith("Failure:") and name:
            complaint = line.removeprefix("Failure:").strip()
            found[name] = Verdict.FAILED, "\n".join(filter(None, (found[name][1], complaint)))
        elif line.startswith("* SKIPPING:") and name and found[name][0] is Verdict.PASSED:
            found[name] = Verdict.SKIPPED, line.removeprefix("* SKIPPING:").strip()
    if sorted(found) != sorted(scenarios(suite)):
        raise PoliciesUnreadable(f"terraform-compliance did not judge every policy:\n{said}")
    return found


def _judged(evidence: Mapping[str, Any], suite: str) -> str:
    with TemporaryDirectory() as folder:
        # On one line: terraform-compliance takes the second line of a file for the plan, where there is one.
        file = Path(folder) / "evidence.json"
        file.write_text(json.dumps(evidence))
        program = tool("terraform-compliance") / "terraform-compliance"
        done = subprocess.run(  # noqa: S603 -- our own tool
            (str(program), "--features", str(POLICIES / suite), "--planfile", str(file)),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    if "Traceback" in done.stderr:
        raise PoliciesUnreadable(done.stdout + done.stderr)
    return _COLOUR.sub("", done.stdout)
