import subprocess
import sys
import time

from bench.cpu import BENCH, CONTENDER, Meter

_BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint('burnt', flush=True)\ninput()"


def test_cpu_is_counted_by_program_and_piece() -> None:
    meter, pieces = Meter(), 0
    with subprocess.Popen([sys.executable, "-c", _BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        with meter.over("at work", lambda: pieces):
            child.stdout.readline()
            mine = time.process_time()
            while time.process_time() < mine + 0.2:
                pass
            pieces = 10
        child.stdin.write(b"\n")
    costs = meter.costs()["at work"]
    assert 20_000 <= costs[BENCH] < 200_000
    assert 10_000 <= costs[CONTENDER] < 100_000
