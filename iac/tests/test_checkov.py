"""checkov finds nothing in the room but what is skipped with a reason."""

from typing import Any

from iac.places import ROOM


def test_checkov_reads_everything_and_finds_nothing(checkov: dict[str, Any]) -> None:
    assert checkov["summary"]["parsing_errors"] == 0
    assert checkov["summary"]["passed"] > 0
    failed = checkov["results"]["failed_checks"]
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
