"""Fixtures for every room. The packages are imported first: their folders carry the same names as they do."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

import bench  # noqa: F401 -- see above
import contracts  # noqa: F401 -- see above
import corelib  # noqa: F401 -- see above
import devstack  # noqa: F401 -- see above
import iac  # noqa: F401 -- see above
from devstack.parts import Server, aws_emulator, bigquery_emulator, kafka_server, postgres_server
from devstack.parts import spark_jars as connector_jars

pytest_plugins = ["corelib.testing.fixtures"]

# Visibly false, as devstack gives them to the services; boto wants some even for an emulator.
os.environ.setdefault("AWS_ACCESS_KEY_ID", "local-not-a-key")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "local-not-a-secret")

# Commands print as into a pipe, whatever shell they are tested from.
os.environ.pop("COLUMNS", None)

# No property is about speed, and machines do other things too.
settings.register_profile("souk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("souk")


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """Undo what a command that is called within a test does to the logs of its process."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def _given_or_started(variable: str, server: Server) -> Iterator[str]:
    if given := os.environ.get(variable):
        yield given
    else:
        with server as address:
            yield address


@pytest.fixture(scope="session")
def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from _given_or_started("SOUK_TEST_POSTGRES_DSN", postgres_server(tmp_path_factory.mktemp("postgres")))


@pytest.fixture(scope="module")
def surroundings(database: str, aws_endpoint: str, unique_prefix: str) -> dict[str, Any]:
    """Settings of a service on real stores that nobody else uses; Kafka only where a test asks for it."""
    return {
        "postgres_dsn": database,
        "aws_endpoint_url": aws_endpoint,
        "aws_prefix": unique_prefix,
        "kafka_prefix": unique_prefix,
        "provision": True,
    }


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from _given_or_started("SOUK_TEST_KAFKA_BOOTSTRAP", kafka_server(tmp_path_factory.mktemp("kafka")))


@pytest.fixture(scope="session")
def aws_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from _given_or_started("SOUK_TEST_AWS_ENDPOINT_URL", aws_emulator(tmp_path_factory.mktemp("aws")))


@pytest.fixture(scope="module", params=["servers", "memory"])
def either(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of a service on real servers, then of one in memory: both pass the same tests."""
    if request.param == "memory":
        return {"in_memory": True}
    real: dict[str, Any] = request.getfixturevalue("surroundings")
    return {**real, "kafka_bootstrap": request.getfixturevalue("kafka_bootstrap")}


@pytest.fixture(scope="session")
def bigquery_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from _given_or_started("SOUK_TEST_BIGQUERY_URL", bigquery_emulator(tmp_path_factory.mktemp("bigquery")))


@pytest.fixture(scope="session")
def spark_jars() -> str:
    return os.environ.get("SOUK_TEST_SPARK_JARS") or connector_jars()
