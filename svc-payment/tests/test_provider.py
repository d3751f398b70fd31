"""`python -m svc_payment.provider`: the provider that stands in for a real one."""

import os
import subprocess
import sys

import pytest

_SECRET = "SOUK_PROVIDER_WEBHOOK_SECRET"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, f"{_SECRET} is not set, and has no default\n"),
        ({_SECRET: "x", "SOUK_PROVIDER_DECLINE_RATE": "2"}, "SOUK_PROVIDER_DECLINE_RATE is '2': "),
        ({_SECRET: "x", "SOUK_PORT": "many"}, "SOUK_PORT is 'many': "),
    ],
)
def test_a_provider_that_is_told_wrong_ends_with_a_sentence(told: dict[str, str], said: str) -> None:
    others = {name: value for name, value in os.environ.items() if not name.startswith("SOUK_")}
    command = [sys.executable, "-m", "svc_payment.provider"]
    ended = subprocess.run(command, env=others | told, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith(said)
    assert len(ended.stderr.splitlines()) == 1
