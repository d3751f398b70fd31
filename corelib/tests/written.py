"""Services in modules of their own, written for one test: commands find them by name, as an operator's would."""

import sys
from pathlib import Path
from uuid import uuid4

import pytest

STORES = {
    "postgres": 'Postgres(settings.postgres_dsn, schema="NAME")',
    "dynamodb": 'Dynamo("shelves", settings.aws())',
}
SHELVES = """
from corelib.config import ServiceSettings
from corelib.dynamo.store import Dynamo
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Event
from corelib.postgres.store import Postgres
from corelib.service import Service


class Filled(Event, type="test.filled.v1", channels=(Channel("shelves", partitions=PARTITIONS),), key="shelf"):
    shelf: str
    number: int
    text: str = ""


def build(settings: ServiceSettings) -> Service:
    kafka = Kafka(settings.kafka(), prefix=settings.kafka_prefix)
    return Service("shelves", settings, store=STORE, publishes=[Filled], brokers=[kafka])
"""
"""A service that only publishes."""


def shelves(store: str, *, partitions: int) -> str:
    """Return the source of a service on a store of `STORES`."""
    return SHELVES.replace("STORE", STORES[store]).replace("PARTITIONS", str(partitions))


def written(source: str, folder: Path, patch: pytest.MonkeyPatch, **variables: str) -> str:
    """Write a service's module where commands look for it, with what they are to be told; return its name.

    No other test has that name. It stands for NAME in the source, and before the names of tables and topics.
    """
    name = f"svc_{uuid4().hex[:8]}"
    (folder / f"{name}.py").write_text(source.replace("NAME", name))
    patch.chdir(folder)
    patch.setattr(sys, "path", sys.path[:])
    told = {"CORELIB_APP": name, "SOUK_AWS_PREFIX": f"{name}-", "SOUK_KAFKA_PREFIX": f"{name}-", **variables}
    for variable, value in told.items():
        patch.setenv(variable, value)
    return name
