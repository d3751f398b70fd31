"""The fixtures that come with corelib, as a project has them that is not this one."""

import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

CONFTEST = 'pytest_plugins = ["corelib.testing.fixtures"]\n'


def run_of(folder: Path, test: str) -> tuple[int, str]:
    """Run a test in a folder with nothing else; return pytest's exit code, and what it said."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(test)
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", str(folder)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_test_without_its_server_fails_and_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOUK_TEST_KAFKA_BOOTSTRAP", raising=False)
    code, said = run_of(tmp_path, "def test_it(kafka_bootstrap): pass")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "SOUK_TEST_KAFKA_BOOTSTRAP is not set: it names the address of a Kafka broker, for tests" in said


async def test_a_database_is_fresh_and_gone_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_dsn: str
) -> None:
    monkeypatch.setenv("SOUK_TEST_POSTGRES_DSN", postgres_dsn)
    test = """
import asyncio, asyncpg, pathlib

leaked = []

def test_it(database):
    async def look():
        leaked.append(await asyncpg.connect(database))
        assert not await leaked[0].fetch("SELECT FROM pg_tables WHERE schemaname = 'public'")
        pathlib.Path("name").write_text(await leaked[0].fetchval("SELECT current_database()"))

    asyncio.run(look())
"""
    assert run_of(tmp_path, test)[0] == pytest.ExitCode.OK
    name = (tmp_path / "name").read_text()
    connection = await asyncpg.connect(postgres_dsn)
    try:
        assert not await connection.fetch("SELECT FROM pg_database WHERE datname = $1", name)
    finally:
        await connection.close()
