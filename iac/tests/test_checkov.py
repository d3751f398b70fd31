"""checkov finds nothing in the room but what is skipped with a reason."""

import json
import subprocess
from typing import Any

import pytest

from iac.environments import tool
from iac.places import ROOM

_SECONDS = 110


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    program = str(tool("checkov") / "checkov")
    options = ("--framework", "terraform", "--skip-download", "--quiet", "--compact", "--output", "json")
    done = subprocess.run(
        (program, "--directory", str(ROOM), *options), capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_checkov_reads_everything_and_finds_nothing(results: dict[str, Any]) -> None:
    assert results["summary"]["parsing_errors"] == 0
    assert results["summary"]["passed"] > 0
    failed = results["results"]["failed_checks"]
    assert [f"{check['check_id']} {check['check_name']}: {check['resource']}" for check in failed] == []


def test_what_is_skipped_has_a_reason() -> None:
    skips = [
        line.strip().removeprefix("#checkov:skip=").partition(":")
        for file in ROOM.rglob("*.tf")
        for line in file.read_text().splitlines()
        if "checkov:skip" in line
    ]
    assert skips
    assert [check for check, _, reason in skips if len(reason.split()) < 5] == []
