"""`corelib parked retry` and `skip` for what a relay could not send, beside the service that runs, on real parts."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import written
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from corelib.cli import frame
from corelib.cli.target import Target
from corelib.kafka.admin import administering
from corelib.kafka.cluster import Cluster
from corelib.service import Service
from corelib.store import Failure
from corelib.testing.running import free_port, running, until

HANDLER = "relay-kafka/shelves"
_NARROW, _WIDE = 50_000, 500_000


class Shelves:
    """The service, and the commands that an operator gives beside it."""

    def __init__(self, name: str, bootstrap: str, prefix: str) -> None:
        self.name = name
        self.topic = f"{prefix}shelves"
        self._bootstrap = bootstrap

    def service(self) -> Service:
        return Target(self.name).service()

    async def publish(self, service: Service, number: int, *, size: int = 0) -> None:
        (filled,) = service.publishes
        async with service.store.transaction() as tx:
            tx.publish(filled(shelf="s-1", number=number, text="x" * size))

    async def takes(self, size: int) -> None:
        async with administering(Cluster(self._bootstrap)) as admin:
            limit = ConfigResource(ConfigResourceType.TOPIC, self.topic, configs={"max.message.bytes": str(size)})
            await admin.alter_configs([limit])

    async def command(self, *arguments: str) -> tuple[int, str]:
        command = (sys.executable, "-m", "corelib.cli", "parked", *arguments)
        pipes: dict[str, Any] = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
        process = await asyncio.create_subprocess_exec(*command, **pipes)
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, said.decode()

    async def sent(self) -> list[int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, isolation_level="read_committed")
        place = TopicPartition(self.topic, 0)
        await consumer.start()
        try:
            consumer.assign([place])
            await consumer.seek_to_beginning(place)
            end = (await consumer.end_offsets([place]))[place]
            bodies: list[bytes] = []
            while await consumer.position(place) < end:
                for messages in (await consumer.getmany(timeout_ms=100)).values():
                    bodies += [message.value for message in messages]
        finally:
            await consumer.stop()
        return [int(number) for body in bodies for number in re.findall(rb'"number":(\d+)', body)]


@pytest.fixture(params=written.STORES)
def shelves(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str
) -> Shelves:
    name = written.written(
        written.shelves(request.param, partitions=1),
        tmp_path,
        monkeypatch,
        SOUK_POSTGRES_DSN=request.getfixturevalue("database"),
        SOUK_AWS_ENDPOINT_URL=request.getfixturevalue("aws_endpoint"),
        SOUK_KAFKA_BOOTSTRAP=kafka_bootstrap,
        SOUK_PORT=str(free_port()),
    )
    return Shelves(name, kafka_bootstrap, f"{name}-")


async def parked(service: Service, count: int) -> bool:
    return len(await service.store.parking.list(HANDLER, "s-1")) == count


async def test_what_a_relay_parked_is_sent_here_and_now_while_the_service_runs(shelves: Shelves) -> None:
    service = shelves.service()
    await service.provision()
    await shelves.takes(_NARROW)
    async with running(service):
        await shelves.publish(service, 1, size=2 * _NARROW)
        await shelves.publish(service, 2)
        await until(lambda: parked(service, 2))
        code, said = await shelves.command("retry", HANDLER, "s-1")
        assert code == frame.FINDINGS
        assert "0 handled; failed again: topic" in said
        assert "takes no record so large" in said
        assert [each.attempts for each in await service.store.parking.list()] == [2, 0]

        await shelves.takes(_WIDE)
        await shelves.publish(service, 3)
        await until(lambda: parked(service, 3))
        outcomes = await asyncio.gather(*(shelves.command("retry", "--all", "--who", "ann") for _ in range(2)))
        assert [code for code, _ in outcomes] == [frame.OK, frame.OK]
        assert f"{HANDLER} s-1: 3 handled, the key flows again" in "".join(said for _, said in outcomes)
        await shelves.publish(service, 4)
        await until(lambda: sent(shelves, 4))
        assert [each.who for each in await service.store.operations.list()][:2] == ["ann", "ann"]
    assert await shelves.sent() == [1, 2, 3, 4]


async def sent(shelves: Shelves, number: int) -> bool:
    return number in await shelves.sent()


async def test_behind_what_is_skipped_the_rest_is_sent(shelves: Shelves) -> None:
    service = shelves.service()
    await service.provision()
    await shelves.takes(_NARROW)
    async with running(service):
        await shelves.publish(service, 1, size=2 * _NARROW)
        await shelves.publish(service, 2)
        await until(lambda: parked(service, 2))
    code, said = await shelves.command("skip", HANDLER, "s-1", "--reason", "a test")
    assert (code, "1 handled, the key flows again" in said) == (frame.OK, True), said
    assert await shelves.sent() == [2]


async def test_a_broker_that_is_away_or_gone_leaves_everything_parked(
    shelves: Shelves, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = shelves.service()
    await service.provision()
    await shelves.takes(_NARROW)
    async with running(service):
        await shelves.publish(service, 1, size=2 * _NARROW)
        await until(lambda: parked(service, 1))
        [record] = await service.store.parking.list()
        monkeypatch.setenv("SOUK_KAFKA_BOOTSTRAP", "127.0.0.1:1")
        code, said = await shelves.command("retry", "--all")
        assert (code, "kafka is unavailable" in said) == (frame.FINDINGS, True), said
        await service.store.parking.park("relay-fax/shelves", record.record, Failure("no line"), attempts=1)
        code, said = await shelves.command("retry", "relay-fax/shelves", "s-1")
        assert (code, "sends nothing this way any more" in said) == (frame.FINDINGS, True), said
        assert {each.handler: each.attempts for each in await service.store.parking.list()} == {
            HANDLER: 1,
            "relay-fax/shelves": 1,
        }
