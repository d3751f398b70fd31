import json
from pathlib import Path

import pytest
from rich.console import Console

from bench.frame import Aim, Bench, Figure
from bench.record import keep


def bench(work: Path, *, quick: bool = False) -> Bench:
    return Bench("thing", quick=quick, work=work, console=Console(quiet=True))


def figure() -> Figure:
    return Figure(
        title="a thing",
        unit="events/s",
        ours={"ours": [100.0, 10.0, 300.0]},
        peers={"peer": [50.0, 10.0, 100.0]},
        aims=[Aim("ours", at_least=90.0), Aim("ours", over="peer", at_least=2.5)],
    )


def test_a_ratio_is_the_median_of_the_ratios_within_a_round() -> None:
    assert figure().ratios() == {"ours / peer": 2.0}


@pytest.mark.parametrize(("value", "met"), [(0.9, False), (1.0, True), (2.0, True), (2.1, False)])
def test_an_aim_has_its_bounds_within(value: float, *, met: bool) -> None:
    assert Aim("x", at_least=1.0, at_most=2.0).met(value) is met


async def test_contenders_take_turns_and_each_round_begins_with_another(tmp_path: Path) -> None:
    order: list[str] = []

    def contender(name: str) -> float:
        order.append(name)
        return float(len(order))

    async def first() -> float:
        return contender("first")

    async def second() -> float:
        return contender("second")

    samples = await bench(tmp_path).interleaved({"first": first, "second": second}, rounds=3, unit="x")
    assert order == ["first", "second", "second", "first", "first", "second"]
    assert samples == {"first": [1.0, 4.0, 5.0], "second": [2.0, 3.0, 6.0]}


def test_the_record_says_what_was_measured_how_and_whether_it_suffices(tmp_path: Path) -> None:
    keep(figure(), bench(tmp_path), tmp_path)
    record = json.loads((tmp_path / "thing.json").read_text())
    assert record["command"] == "make bench-thing"
    assert record["ours"] == {"ours": {"median": 100.0, "rounds": [100.0, 10.0, 300.0]}}
    assert record["ratio"] == {"ours / peer": 2.0}
    assert record["aims"]["ours / peer"] == {"value": 2.0, "at_least": 2.5, "met": False}
    assert record["machine"]["cores"]
    assert (tmp_path / "thing.png").read_bytes().startswith(b"\x89PNG")


def test_a_quick_run_keeps_the_figure_of_the_full_one(tmp_path: Path) -> None:
    keep(figure(), bench(tmp_path, quick=True), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"thing-quick.json", "thing-quick.png"}
