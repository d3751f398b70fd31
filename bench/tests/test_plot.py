from pathlib import Path

from bench.plot import draw, quantile, series

ROWS = """metric_name,timestamp,metric_value,check
http_reqs,100,1,
http_req_duration,100,20.0,
http_req_duration,100,10.0,
http_req_duration,102,30.5,
"""


def test_series_groups_durations_by_second_of_the_run(tmp_path: Path) -> None:
    raw = tmp_path / "raw.csv"
    raw.write_text(ROWS)
    assert series(raw) == {0: [10.0, 20.0], 2: [30.5]}


def test_quantile_takes_the_nearest_rank() -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert quantile([1.0], 0.99) == 1.0


def test_picture_is_a_png(tmp_path: Path) -> None:
    raw = tmp_path / "raw.csv"
    raw.write_text(ROWS)
    draw(raw, tmp_path / "run.png", "a run")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
