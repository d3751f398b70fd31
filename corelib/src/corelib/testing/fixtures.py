"""For tests on real servers, with pytest: `pytest_plugins = ["corelib.testing.fixtures"]` in the root's conftest.py.

The servers are those that `SOUK_TEST_…` variables name. Whoever starts some overrides the fixture of their address.
"""

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest


@pytest.fixture(scope="session")
def postgres_dsn() -> str:
    """The DSN of a PostgreSQL whose role may create databases."""
    return _given("SOUK_TEST_POSTGRES_DSN", "the DSN of a PostgreSQL whose role may create databases")


@pytest.fixture(scope="session")
def kafka_bootstrap() -> str:
    """The address of a Kafka broker."""
    return _given("SOUK_TEST_KAFKA_BOOTSTRAP", "the address of a Kafka broker")


@pytest.fixture(scope="session")
def aws_endpoint() -> str:
    """The URL of an AWS emulator."""
    return _given("SOUK_TEST_AWS_ENDPOINT_URL", "the URL of an AWS emulator")


@pytest.fixture(scope="module")
def database(postgres_dsn: str) -> Iterator[str]:
    """The DSN of a fresh database, which is dropped behind the module's last test."""
    name = f"t{uuid4().hex[:12]}"
    _execute(postgres_dsn, f"CREATE DATABASE {name}")
    yield urlsplit(postgres_dsn)._replace(path=f"/{name}").geturl()
    _execute(postgres_dsn, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def unique_prefix() -> str:
    """What to put before the names of topics, tables and queues, so that no other test uses the same."""
    return f"t{uuid4().hex[:12]}-"


def _given(variable: str, what: str) -> str:
    """Return a variable's value. A test without its server fails: one that is skipped would pass for a good one."""
    value = os.environ.get(variable)
    if not value:
        pytest.fail(f"{variable} is not set: it names {what}, for tests", pytrace=False)
    return value


def _execute(dsn: str, statement: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:  # the test's own thread may have a loop at work
        thread.submit(lambda: asyncio.run(execute())).result()
