"""What is asked of a Kafka cluster about itself, and topics as it is to create them."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from corelib.errors import Unavailable
from corelib.kafka.cluster import Cluster, reason_of

_DEADLINE_SECONDS = 15.0
_TOPIC_EXISTS = 36


@dataclass(frozen=True)
class Topic:
    """A topic as the cluster has it; `replicas` is of the partition that has the fewest."""

    name: str
    partitions: tuple[int, ...]
    replicas: int


@asynccontextmanager
async def administering(cluster: Cluster) -> AsyncIterator[AIOKafkaAdminClient]:
    """Lend a client for questions about the cluster. Raises `Unavailable`."""
    admin = AIOKafkaAdminClient(**cluster.options)
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            await admin.start()
        yield admin
    except (KafkaError, TimeoutError, OSError) as error:
        raise Unavailable("kafka", reason_of(error)) from error
    finally:
        await admin.close()


async def topics_of(admin: AIOKafkaAdminClient, names: Collection[str]) -> dict[str, Topic]:
    """Return those of the topics that exist."""
    described = await admin.describe_topics(sorted(names)) if names else []
    return {
        topic["topic"]: Topic(
            topic["topic"],
            tuple(sorted(partition["partition"] for partition in topic["partitions"])),
            min((len(partition["replicas"]) for partition in topic["partitions"]), default=0),
        )
        for topic in described
        if not topic["error_code"]
    }


async def settings_of(admin: AIOKafkaAdminClient, names: Collection[str]) -> dict[str, dict[str, str]]:
    """Return the settings of topics, those of the cluster among them where a topic has none of its own."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(names)]
    answers = await admin.describe_configs(resources) if resources else []
    return {
        name: {setting[0]: setting[1] for setting in settings}
        for answer in answers
        for _, _, _, name, settings in answer.resources
    }


async def create(admin: AIOKafkaAdminClient, topics: Sequence[NewTopic]) -> None:
    """Create topics; those that exist are left as they are. Raises `Unavailable` for what the cluster refuses."""
    answer = await admin.create_topics(topics)
    for topic, code, *_ in answer.topic_errors:
        if code not in (0, _TOPIC_EXISTS):
            raise Unavailable("kafka", f"could not create the topic {topic}: {reason_of(for_code(code)())}")


def new_topic(name: str, partitions: int, **configs: str) -> NewTopic:
    """Return a topic with as many replicas as the cluster gives by default (KIP-464), which aiokafka cannot spell."""
    topic = NewTopic(name, num_partitions=partitions, replication_factor=1, topic_configs=configs)
    topic.replication_factor = -1
    return topic
