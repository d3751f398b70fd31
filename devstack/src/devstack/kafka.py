"""One Kafka node (KRaft, broker and controller in one) on the Java that is installed."""

import os
import shutil
from pathlib import Path

from devstack import jars, tool
from devstack.java import java
from devstack.part import Part, tcp
from devstack.settings import HOST, StackSettings

_LIST = Path(__file__).with_name("kafka-jars.sha256")
PROTOCOL = "security.protocol"
_CLUSTER = "c291ay1sb2NhbC1zdGFjaw"  # any 16 bytes, base64: "souk-local-stack"
_LOGGING = """status = warn
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""


def kafka(settings: StackSettings) -> Part:
    """Describe the broker."""
    data = settings.home.resolve() / "data" / "kafka"
    libraries = jars.folder("kafka", _LIST, settings.cache)
    classes = str(libraries / "*")
    memory = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    logging = f"-Dlog4j2.configurationFile={data / 'log4j2.properties'}"
    return Part(
        name="kafka",
        command=(java(), *memory, logging, "-cp", classes, "kafka.Kafka", str(data / "server.properties")),
        ready=tcp(HOST, settings.kafka_port),
        url=settings.kafka_bootstrap,
        ports={"SOUK_KAFKA_PORT": settings.kafka_port, "SOUK_KAFKA_CONTROLLER_PORT": settings.kafka_controller_port},
        prepare=lambda: _prepare(settings, data, classes),
        grace_seconds=20,
    )


async def _prepare(settings: StackSettings, data: Path, classes: str) -> None:
    await jars.fetch("kafka", _LIST, settings.cache)
    data.mkdir(parents=True, exist_ok=True)
    (data / "log4j2.properties").write_text(_LOGGING)
    configuration = data / "server.properties"
    configuration.write_text(_configuration(settings, data / "log"))
    if not (data / "formatted").exists():
        shutil.rmtree(data / "log", ignore_errors=True)
        command = (java(), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes, "kafka.tools.StorageTool")
        await tool.run((*command, "format", "--cluster-id", _CLUSTER, "--config", str(configuration)))
        (data / "formatted").touch()


def _configuration(settings: StackSettings, log: Path) -> str:
    broker, controller = f"{HOST}:{settings.kafka_port}", f"{HOST}:{settings.kafka_controller_port}"
    doors = settings.kafka_doors.items()
    listeners = "".join(f",DOOR{inside}://{HOST}:{inside}" for inside, _ in doors)
    advertised = "".join(f",DOOR{inside}://{HOST}:{outside}" for inside, outside in doors)
    locks = settings.kafka_locks
    protocols = "".join(f",DOOR{inside}:{locks.get(inside, {}).get(PROTOCOL, 'PLAINTEXT')}" for inside, _ in doors)
    values: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}{listeners}",
        "advertised.listeners": f"PLAINTEXT://{broker}{advertised}",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": f"PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}",
        "log.dirs": log,
        "num.partitions": 4,
        "num.network.threads": 2,
        "num.io.threads": max(2, os.cpu_count() or 2),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 8,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        # A broker that was killed may come back only once its last session has run out.
        "broker.session.timeout.ms": 3_000,
        "broker.heartbeat.interval.ms": 500,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    }
    if settings.kafka_rights:
        values |= {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
            "super.users": "User:ANONYMOUS",
        }
    for inside, lock in locks.items():
        values |= {f"listener.name.door{inside}.{name}": value for name, value in lock.items() if name != PROTOCOL}
    return "".join(f"{name}={value}\n" for name, value in values.items())
