"""A small service to examine, and how to ask about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from corelib.actor import Actor, receive
from corelib.config import ServiceSettings
from corelib.doctor.finding import Case, Check
from corelib.kafka.admin import new_topic, topics_of
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Event, Transport
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.service import Service
from corelib.testing.running import until

NOTES = Channel("notes", partitions=1)
QUEUE = Channel("letters", Transport.SQS)


class Noted(Event, type="test.noted.v1", channels=(NOTES,), key="name"):
    name: str


class Mailed(Event, type="test.mailed.v1", channels=(QUEUE,), key="name"):
    name: str


@dataclass(frozen=True)
class Reader(Actor):
    @receive
    async def noted(self, event: Noted, tx: PostgresTransaction) -> None:
        """Read it."""


async def nothing() -> None:
    """Watch for no time."""


async def said(check: Check, service: Service, **case: Any) -> str:
    """Return everything that a check finds, as a text."""
    given = Case(service, **({"watch": nothing} | case))
    return "\n".join(f"{found.level} {found.about}: {found.what} -> {found.remedy}" for found in await check(given))


async def publish(service: Service, name: str = "k") -> None:
    async with service.store.transaction() as tx:
        tx.publish(Noted(name=name))


@dataclass(frozen=True)
class OffClock:
    """A machine's clock that is wrong."""

    by: timedelta

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by


def on_kafka(kafka: Kafka) -> Service:
    store = Postgres("postgresql://nobody@127.0.0.1:1/none")
    return Service("notes", ServiceSettings(), store=store, publishes=[Noted], actors=[Reader()], brokers=[kafka])


async def create(
    kafka: Kafka, bootstrap: str, settings: Mapping[str, str] | None = None, *, partitions: int = NOTES.partitions
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    name = kafka.topic("notes")
    await admin.create_topics([new_topic(name, partitions, **(settings or {}))])

    async def is_told() -> bool:
        """Tell whether the broker has heard of it, which learns it behind the controller."""
        return name in await topics_of(admin, [name])

    await until(is_told)
    await admin.close()
