"""What a service does not need is not loaded: each of these costs a tenth of a second of every start, or more."""

import subprocess
import sys

import pytest

HEAVY = {
    "rich",
    "pygments",
    "typer",
    "aiobotocore",
    "opentelemetry.sdk",
    "corelib.cli",
    "corelib.testing",
    "hypothesis",
}


@pytest.mark.parametrize("service", ["order", "payment", "product", "user"])
def test_a_service_loads_nothing_heavy_that_it_does_not_need(service: str) -> None:
    script = f"import sys, svc_{service}.__main__; print(*sorted({HEAVY} & sys.modules.keys()))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


@pytest.mark.parametrize("before", ["import rich, structlog, ", "import "])
def test_rich_is_there_for_those_who_want_it(before: str) -> None:
    script = f"{before}corelib.logs, structlog, rich.console; structlog.get_logger().info('fine')"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "fine" in loaded.stdout
