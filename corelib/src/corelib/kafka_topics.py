"""Topics as they are to be created."""

from aiokafka.admin import NewTopic


def new_topic(name: str, partitions: int, **configs: str) -> NewTopic:
    """Return a topic with as many replicas as the cluster gives by default (KIP-464), which aiokafka cannot spell."""
    topic = NewTopic(name, num_partitions=partitions, replication_factor=1, topic_configs=configs)
    topic.replication_factor = -1
    return topic
