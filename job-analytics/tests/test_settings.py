import os
import subprocess
import sys


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "job_analytics", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})


def test_a_wrong_value_is_named_before_anything_starts() -> None:
    ended = run(SOUK_CHECKPOINT_DIR="x", SOUK_TRIGGER_SECONDS="-1")
    assert ended.returncode == 2
    assert "SOUK_TRIGGER_SECONDS is '-1': Input should be greater than 0" in ended.stderr


def test_a_missing_value_is_named() -> None:
    ended = run()
    assert ended.returncode == 2
    assert "SOUK_CHECKPOINT_DIR is not set" in ended.stderr


def test_the_settings_are_printed_with_secrets_masked() -> None:
    ended = run("--print-config", SOUK_CHECKPOINT_DIR="x", SOUK_POSTGRES_DSN="postgresql://souk:secret@host/souk")
    assert ended.returncode == 0
    assert '"checkpoint_dir": "x"' in ended.stdout
    assert "secret" not in ended.stdout
