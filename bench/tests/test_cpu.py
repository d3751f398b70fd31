import subprocess
import sys
import time

from bench.cpu import BENCH, CONTENDER, Meter

_BURN = "import time\ninput()\nwhile time.process_time() < 0.3: pass\nprint('burnt', flush=True)\ninput()"


def test_cpu_is_counted_by_program_and_piece() -> None:
    meter, pieces = Meter(), 0
    with subprocess.Popen([sys.executable, "-c", _BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        with meter.over("at work", lambda: pieces):
            child.stdin.write(b"\n")
            child.stdin.flush()
            child.stdout.readline()
            mine = time.process_time()
            while time.process_time() < mine + 0.2:
                pass
            pieces = 10
        child.stdin.write(b"\n")
    costs = meter.costs()["at work"]
    # Of 0.2 and nearly 0.3 s, in tenths, as the kernel counts in hundredths of a second.
    assert costs[BENCH] > 15_000
    assert costs[CONTENDER] > 15_000
