"""What the metrics say of events on their way, and of a relay that does not get on."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from corelib.actor import Actor, receive
from corelib.config import ServiceSettings
from corelib.errors import Unavailable
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Event, Record
from corelib.outbox_log import OutboxLog
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.relay.log_relay import LogRelay
from corelib.relay.relay import Relay
from corelib.service import Service
from corelib.store import OutboxReader
from corelib.testing.running import free_port, running, until

CHANNEL = Channel("stages", partitions=1)
STAGES = ("committed", "read", "acknowledged", "handled")


class Went(Event, type="test.went.v1", channels=(CHANNEL,), key="name"):
    name: str


class Walker(Actor):
    @receive
    async def went(self, event: Went, tx: PostgresTransaction) -> None:
        """Handle it."""


def value(metric: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(metric, labels) or 0.0


def counts() -> dict[str, float]:
    return {stage: value("event_stage_seconds_count", stage=stage) for stage in STAGES}


@pytest_asyncio.fixture
async def store(database: str) -> AsyncIterator[Postgres]:
    store = Postgres(database, schema=f"t{uuid4().hex[:12]}")
    await store.provision()
    await store.open(
        Service("walk", ServiceSettings(), store=store, publishes=[Went], brokers=[Kafka("127.0.0.1:1")]).origin
    )
    yield store
    await store.close()


async def publish(store: Postgres) -> None:
    async with store.transaction() as tx:
        tx.publish(Went(name="k"))


async def test_an_event_is_seen_at_each_stage(database: str, kafka_bootstrap: str) -> None:
    store = Postgres(database, schema=f"t{uuid4().hex[:12]}")
    kafka = Kafka(kafka_bootstrap, prefix=f"t{uuid4().hex[:8]}-")
    settings = ServiceSettings(port=free_port(), provision=True, log_format="text")
    service = Service("walk", settings, store=store, publishes=[Went], actors=[Walker()], brokers=[kafka])
    before = counts()
    async with running(service):
        await publish(store)
        await until(lambda: all(counts()[stage] > before[stage] for stage in STAGES))
    assert value("outbox_relay_stalled", relay="kafka") == 0


class Gate:
    """A broker that can be shut."""

    name = "gate"

    def __init__(self) -> None:
        self.open = False

    async def send(self, records: Sequence[Record]) -> Sequence[bool]:
        if not self.open:
            raise Unavailable(self.name, "shut")
        return [True] * len(records)


async def test_a_stalled_relay_is_told_from_an_idle_one(store: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corelib.stages._STALLED_SECONDS", 0.0)
    name, gate, stop = f"r{uuid4().hex[:8]}", Gate(), asyncio.Event()
    reader = store.outbox(name, frozenset({CHANNEL.name}))
    relay = Relay(name, reader, gate, store.committed(), store.parking)  # type: ignore[arg-type]  # only `send` is used
    working = asyncio.create_task(relay.run(stop))
    await until(lambda: value("outbox_relay_active", relay=name) == 1)
    assert value("outbox_relay_stalled", relay=name) == 0
    await publish(store)
    await until(lambda: value("outbox_relay_stalled", relay=name) == 1)
    assert value("outbox_lag_seconds", relay=name) > 0
    gate.open = True
    await until(lambda: value("outbox_relay_stalled", relay=name) == 0)
    await until(lambda: value("outbox_lag_seconds", relay=name) == 0)
    stop.set()
    await working


class ShutLog:
    """A sink that nobody reaches."""

    keeps_receipts = True

    async def begin(self) -> bytes | None:
        raise Unavailable("gate", "shut")

    async def close(self) -> None:
        """Nothing is open."""


def relays(store: Postgres) -> dict[str, tuple[Relay | LogRelay, OutboxReader | OutboxLog]]:
    """Return relays of each kind that get nowhere, and another's view on the same outbox."""
    name, channels, wake = f"r{uuid4().hex[:8]}", frozenset({CHANNEL.name}), store.committed()
    shut: Any = Gate()
    log: Any = ShutLog()
    return {
        name: (Relay(name, store.outbox(name, channels), shut, wake, store.parking), store.outbox(name, channels)),
        "kafka": (LogRelay(store.log("kafka", channels), log, wake, store.parking), store.log("kafka", channels)),
    }


@pytest.mark.parametrize("number", [0, 1], ids=["relay", "relay between logs"])
async def test_a_relay_that_stands_by_tells_nothing_of_what_another_does(
    store: Postgres, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("corelib.stages._STALLED_SECONDS", 0.0)
    name, (relay, other) = list(relays(store).items())[number]
    stop = asyncio.Event()
    await publish(store)
    working = asyncio.create_task(relay.run(stop))
    await until(lambda: value("outbox_relay_stalled", relay=name) == 1)
    await until(lambda: other.acquire("other"))
    told = ("outbox_relay_active", "outbox_relay_stalled", "outbox_lag_seconds")
    await until(lambda: not any(value(metric, relay=name) for metric in told))
    stop.set()
    await working
