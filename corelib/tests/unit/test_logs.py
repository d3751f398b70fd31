"""What a client of Kafka says at every attempt is written now and then, and what it says for the first time always."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from corelib.logs import Repetitions

_AWAY = """
import logging
from corelib import logs
logs.configure(service="notes")
client = logging.getLogger("aiokafka.conn")
for n in range(100):
    client.error("Unable connect to node with id %s: %s", n, OSError("refused"))
client.error("Unable connect to node with id %s: %s", 1, ValueError("not one of ours"))
logging.getLogger("ours").error("said twice")
logging.getLogger("ours").error("said twice")
"""


class Said(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, int]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.getMessage(), getattr(record, "left_out", 0)))


class Hand:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def said(clock: Hand) -> Iterator[Said]:
    said, client = Said(), logging.getLogger("aiokafka")
    said.addFilter(Repetitions(seconds=60, clock=clock))
    client.addHandler(said)
    yield said
    client.removeHandler(said)


def test_a_service_whose_broker_is_away_writes_each_kind_of_line_once() -> None:
    output = subprocess.run([sys.executable, "-c", _AWAY], capture_output=True, text=True, check=True).stdout
    assert [json.loads(line)["event"] for line in output.splitlines()] == [
        "Unable connect to node with id 0: refused",
        "Unable connect to node with id 1: not one of ours",
        "said twice",
        "said twice",
    ]


def test_a_line_says_how_many_like_it_were_left_out(said: Said, clock: Hand) -> None:
    client = logging.getLogger("aiokafka.client")
    for minute in range(3):
        clock.now = minute * 60.0
        for _ in range(5):
            client.error("Unable to update metadata from %s", [1])
    assert said.lines == [("Unable to update metadata from [1]", left_out) for left_out in (0, 4, 4)]


def test_a_traceback_of_another_kind_is_written(said: Said) -> None:
    client = logging.getLogger("aiokafka.conn")
    for kind in (OSError, OSError, ValueError):
        try:
            raise kind
        except (OSError, ValueError):
            client.exception("Unexpected exception")
    assert len(said.lines) == 2


def test_lines_that_are_never_alike_take_no_memory_for_good(said: Said) -> None:
    for number in range(2_000):
        logging.getLogger("aiokafka.conn").error(f"put together by hand: {number}")  # noqa: G004 -- as libraries do
    (repetitions,) = said.filters
    assert len(said.lines) == 2_000
    assert isinstance(repetitions, Repetitions)
    assert len(repetitions._kinds) == 256
