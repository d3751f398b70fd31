"""How a process uses memory, seen from outside."""

import subprocess
import sys

import pytest

_FAULTS = """
import gc
from resource import RUSAGE_SELF, getrusage
from corelib.tuning import tune
if {tuned}:
    tune()
b"x" * 8_000_000
before = getrusage(RUSAGE_SELF).ru_minflt
for _ in range(20):
    b"x" * 8_000_000
print(getrusage(RUSAGE_SELF).ru_minflt - before, gc.get_freeze_count())
"""


def test_freed_memory_is_used_again_and_what_was_built_is_not_collected() -> None:
    faults, frozen = _run(tuned=True)
    assert frozen > 1_000
    assert faults < 100, "a buffer of 8 MB has 2,000 pages: they were given back and asked for again"


def test_what_it_mends_is_there() -> None:
    faults, frozen = _run(tuned=False)
    if faults < 1_000:
        pytest.skip("this C library keeps freed memory by itself")
    assert frozen == 0


def _run(*, tuned: bool) -> tuple[int, int]:
    run = subprocess.run(
        [sys.executable, "-c", _FAULTS.format(tuned=tuned)], capture_output=True, text=True, check=True
    )
    faults, frozen = map(int, run.stdout.split())
    return faults, frozen
