"""The gate's judgement, by the figures as they are recorded in this repository."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.frame import RESULTS
from bench.gate import Record, gate, judged, recorded

TOLERANCE = 0.25


def known(name: str) -> dict[str, Any]:
    record = recorded(name)
    assert record is not None
    return dict(record)


def scaled(factor: float) -> Callable[[str], Record]:
    """A machine on which every ratio is another by this factor."""

    def measured(name: str) -> Record:
        record = known(name)
        return record | {"ratio": {ratio: value * factor for ratio, value in record["ratio"].items()}}

    return measured


def code(factor: float, *names: str) -> int:
    return gate(names, scaled(factor), Console(quiet=True), folder=RESULTS, tolerance=TOLERANCE)


@pytest.mark.parametrize(("factor", "expected"), [(0.5, 1), (0.74, 1), (0.76, 0), (1.0, 0), (2.0, 0)])
def test_a_ratio_that_fell_by_more_than_the_tolerance_fails(factor: float, expected: int) -> None:
    assert code(factor, "http", "commit") == expected


@pytest.mark.parametrize(("factor", "expected"), [(0.5, 0), (1.0, 0), (1.24, 0), (1.26, 1), (2.0, 1)])
def test_where_less_is_better_it_fails_when_it_rose(factor: float, expected: int) -> None:
    assert code(factor, "import") == expected


def test_all_that_is_recorded_with_a_ratio_is_judged_where_none_is_named() -> None:
    judged: list[str] = []

    def measured(name: str) -> Record:
        judged.append(name)
        return known(name)

    assert gate((), measured, Console(quiet=True), folder=RESULTS, tolerance=TOLERANCE) == 0
    assert {"relay", "commit", "consume", "backlog", "dynamo", "http", "import"} <= set(judged)
    assert "orders" not in judged


def test_a_ratio_that_is_not_measured_any_more_fails() -> None:
    record = known("commit")
    gone = dict(list(record["ratio"].items())[1:])
    verdicts = judged("commit", record, record | {"ratio": gone})
    assert [verdict.passes(TOLERANCE) for verdict in verdicts] == [False, True]


def test_what_is_not_recorded_cannot_be_judged(tmp_path: Path) -> None:
    assert code(1.0, "nothing") == 2
    assert gate(["http"], scaled(1.0), Console(quiet=True), folder=tmp_path, tolerance=TOLERANCE) == 2


def test_the_table_names_what_fell(capsys: pytest.CaptureFixture[str]) -> None:
    gate(["commit"], scaled(0.5), Console(width=140), folder=RESULTS, tolerance=TOLERANCE)
    shown = capsys.readouterr().out
    assert "corelib / no event" in shown
    assert "FELL" in shown
    assert "50%" in shown
