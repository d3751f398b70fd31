"""Rights that Kafka takes away and gives back: whoever works there says what it lacks, waits, and goes on by itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

import aiohttp
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from corelib.actor import Actor, receive
from corelib.aws.clients import Aws
from corelib.broker import Outgoing
from corelib.clock import SystemClock
from corelib.config import ServiceSettings
from corelib.consumer.consumer import Consumer
from corelib.dynamo.store import Dynamo
from corelib.errors import Unavailable
from corelib.headers import SMALL
from corelib.ids import uuid7
from corelib.kafka.broker import Kafka
from corelib.kafka.cluster import Cluster
from corelib.kafka.lag import lag_of
from corelib.memory.store import Memory
from corelib.message import Channel, Envelope, Event, Record
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.store import Store
from corelib.supervisor import Supervisor
from corelib.testing.running import free_port, running, until
from corelib.transaction import Origin, Transaction
from devstack.certificates import authority
from devstack.parts import kafka_server
from devstack.settings import free_ports

NOTES = Channel("notes", partitions=1)
# As the protocol numbers them: kinds of resources, of operations; a literal name; a right that is denied, or allowed.
TOPIC, GROUP, CLUSTER, TRANSACTIONAL_ID = 2, 3, 4, 5
ALL, READ, WRITE, CREATE, DESCRIBE = 2, 3, 4, 5, 8
LITERAL, DENY, ALLOW = 3, 2, 3


class Noted(Event, type="test.noted.v1", channels=(NOTES,), key="name"):
    name: str


@dataclass(frozen=True)
class Reader(Actor):
    read: list[str] = field(default_factory=list)

    @receive
    async def noted(self, event: Noted, _: Transaction) -> None:
        self.read.append(event.name)


@dataclass(frozen=True)
class Guarded:
    """A broker's port that asks no rights, and how to come in by the other one, that does."""

    plain: str
    service: Cluster

    @asynccontextmanager
    async def denied(self, kind: int, name: str, operation: int) -> AsyncIterator[None]:
        """Deny the service an operation for a while."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.plain)
        await admin.start()
        # Where a rule speaks of a resource, nobody may do what no rule allows; one that denies comes before the others.
        rules = [(kind, name, LITERAL, "User:CN=service", "*", *rule) for rule in ((ALL, ALLOW), (operation, DENY))]
        try:
            for rule in rules:
                await admin._send_request(CreateAclsRequest(*rule))
            yield
            for rule in reversed(rules):
                await admin._send_request(DeleteAclsRequest(*rule))
        finally:
            await admin.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    ours = authority(folder, "ours")
    (door,) = free_ports(1)
    with kafka_server(folder / "kafka", doors={door: door}, locks={door: ours.lock("broker")}, rights=True) as plain:
        yield Guarded(plain, Cluster(f"127.0.0.1:{door}", "tls", ours.file, *ours.issue("service")))


@asynccontextmanager
async def opened(place: Cluster | str, prefix: str) -> AsyncIterator[Kafka]:
    kafka = Kafka(place, prefix=prefix)
    await kafka.provision([NOTES])
    await kafka.open()
    yield kafka
    await kafka.close()


def record(name: str) -> Record:
    envelope = Envelope(uuid7(), Noted.type, "test", SystemClock().now(), name)
    return envelope.record(NOTES.name, Noted(name=name).model_dump_json().encode())


@asynccontextmanager
async def supervised(kafka: Kafka, reader: Reader) -> AsyncIterator[Supervisor]:
    store = Memory()
    await store.open(Origin("test", SystemClock(), frozenset()))
    part = Consumer(lambda: kafka.subscribe("readers", [NOTES]), list(reader.routes()), store)
    supervisor, stop = Supervisor([part], most_crashes=2), asyncio.Event()
    running = asyncio.create_task(supervisor.run(stop))
    yield supervisor
    stop.set()
    await running


@pytest.mark.parametrize(("kind", "what"), [(TOPIC, "the topic"), (GROUP, "the consumer group")])
async def test_a_consumer_that_loses_a_right_waits_for_it(guarded: Guarded, kind: int, what: str) -> None:
    prefix, reader = f"t{uuid4().hex[:8]}-", Reader()
    async with opened(guarded.plain, prefix) as other, opened(guarded.service, prefix) as kafka:
        name = kafka.topic("notes") if kind == TOPIC else kafka.group("readers")
        async with supervised(kafka, reader) as supervisor:
            await other.send([record("one")])
            await until(lambda: "one" in reader.read)
            async with guarded.denied(kind, name, READ):
                await until(lambda: f"lacks a right to {what}" in supervisor.waiting.get("consumer", ""))
            await other.send([record("two")])
            await until(lambda: "two" in reader.read and not supervisor.waiting)
            assert not supervisor.failed


@pytest.mark.parametrize("operation", [WRITE, ALL])
async def test_who_may_not_write_to_a_topic_is_told_so(guarded: Guarded, operation: int) -> None:
    async with opened(guarded.service, f"t{uuid4().hex[:8]}-") as kafka:
        async with guarded.denied(TOPIC, kafka.topic("notes"), operation):
            with pytest.raises(Unavailable, match="lacks a right to the topic"):
                await kafka.send([record("early")])

        async def sent() -> bool:
            return list(await kafka.send([record("again")])) == [True]

        await until(sent)


@pytest.mark.parametrize(
    ("kind", "operation", "what"),
    [(TOPIC, WRITE, "the topic"), (TOPIC, ALL, "the topic"), (TRANSACTIONAL_ID, WRITE, "the transactional id")],
)
async def test_a_relay_between_logs_is_told_what_right_it_lacks(
    guarded: Guarded, kind: int, operation: int, what: str
) -> None:
    async with opened(guarded.service, f"t{uuid4().hex[:8]}-") as kafka:
        sink = kafka.log("outbox")

        async def sent() -> None:
            await sink.begin()
            await sink.send([Outgoing(NOTES.name, "k", 0, SMALL[0], b"{}")], b"receipt")
            await sink.commit()

        await sent()
        name = kafka.topic("notes") if kind == TOPIC else kafka.topic("outbox")
        async with guarded.denied(kind, name, operation):
            with pytest.raises(Unavailable, match=f"lacks a right to {what}"):
                await sent()
        await sink.close()


@pytest.fixture(params=["postgres", "dynamo"])
def store(request: pytest.FixtureRequest) -> Store:
    name = f"t{uuid4().hex[:12]}"
    if request.param == "postgres":
        return Postgres(request.getfixturevalue("postgres_dsn"), schema=name)
    return Dynamo("notes", Aws(endpoint_url=request.getfixturevalue("aws_endpoint"), prefix=f"{name}-"))


async def readiness(url: str) -> tuple[int, dict[str, str]]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as answer:
        return answer.status, (await answer.json()).get("checks", {})


async def test_a_service_whose_relay_may_not_write_is_not_ready_until_it_delivers(
    guarded: Guarded, store: Store
) -> None:
    kafka = Kafka(guarded.service, prefix=f"t{uuid4().hex[:8]}-")
    settings = ServiceSettings(port=free_port(), log_format="text", provision=True)
    service = Service("notes", settings, store=store, publishes=[Noted], brokers=[kafka])

    async def publish(name: str) -> None:
        async with store.transaction() as tx:
            tx.publish(Noted(name=name))

    async def refused() -> bool:
        status, checks = await readiness(url)
        return status == 503 and "lacks a right to the topic" in checks.get("relay-kafka", "")

    async def ready() -> bool:
        return (await readiness(url))[0] == 200

    async with running(service) as url:
        async with guarded.denied(TOPIC, kafka.topic("notes"), WRITE):
            await until(ready)  # as nobody was refused anything yet
            await publish("early")
            await until(refused)
            assert not service.health.failed_parts
        await until(ready)
        assert not (await store.relay_state("kafka", frozenset({"notes"}))).lag_seconds


async def test_who_may_not_see_a_group_is_told_so(guarded: Guarded) -> None:
    prefix = f"t{uuid4().hex[:8]}-"
    group = f"{prefix}readers"
    async with opened(guarded.service, prefix) as kafka, guarded.denied(GROUP, group, DESCRIBE):
        with pytest.raises(Unavailable, match="lacks a right to the consumer group"):
            await lag_of(kafka.cluster, group, [kafka.topic("notes")])


async def test_who_may_not_create_a_topic_is_told_so(guarded: Guarded) -> None:
    kafka = Kafka(guarded.service, prefix=f"t{uuid4().hex[:8]}-")
    making: dict[str, Callable[[], Awaitable[object]]] = {
        kafka.topic("notes"): partial(kafka.provision, [NOTES]),
        kafka.topic("outbox-receipts"): kafka.log("outbox").begin,
    }
    async with guarded.denied(CLUSTER, "kafka-cluster", CREATE):
        for topic, made in making.items():
            async with guarded.denied(TOPIC, topic, CREATE):
                with pytest.raises(Unavailable, match=f"could not create the topic {topic}: this client lacks a right"):
                    await made()
