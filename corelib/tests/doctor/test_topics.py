"""What a Kafka cluster may be set to, and a consumer that lags."""

from datetime import timedelta

import pytest

from corelib.doctor import topics
from corelib.doctor.finding import Level
from corelib.kafka.admin import Topic
from corelib.kafka.broker import Kafka
from corelib.message import Record
from doctor.notes import create, on_kafka, said


async def test_a_topic_that_is_missing(kafka: Kafka) -> None:
    assert f"problem topic {kafka.topic('notes')}: the topic does not exist" in await said(
        topics.topics, on_kafka(kafka)
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ""),
        ({"retention.ms": "60000"}, "retention is 0:01:00: a consumer that is down for longer loses events"),
        ({"retention.ms": "-1"}, "keeps events for ever"),
        ({"cleanup.policy": "compact"}, "it is compacted"),
        ({"max.message.bytes": "100000"}, "max.message.bytes is 100000"),
        ({"unclean.leader.election.enable": "true"}, "unclean leader election is on"),
    ],
)
async def test_settings_of_a_topic_that_break_promises(
    kafka: Kafka, kafka_bootstrap: str, settings: dict[str, str], expected: str
) -> None:
    await create(kafka, kafka_bootstrap, **settings)
    found = [line for line in (await said(topics.topics, on_kafka(kafka))).splitlines() if not line.startswith("note")]
    assert len(found) == bool(expected)
    assert expected in "\n".join(found)


@pytest.mark.parametrize(
    ("replicas", "least", "brokers", "levels"),
    [
        (1, 1, 1, [Level.NOTE]),
        (1, 1, 3, [Level.PROBLEM]),
        (3, 1, 3, [Level.PROBLEM]),
        (3, 2, 3, []),
        (3, 3, 3, [Level.WARNING]),
    ],
)
def test_copies_of_what_was_acknowledged(replicas: int, least: int, brokers: int, levels: list[Level]) -> None:
    settings = {"min.insync.replicas": str(least), "unclean.leader.election.enable": "false"}
    found = topics.judge_replication(Topic("notes", (0,), replicas), settings, brokers)
    assert [each.level for each in found] == levels


async def test_a_consumer_that_lags(kafka: Kafka, kafka_bootstrap: str) -> None:
    await create(kafka, kafka_bootstrap)
    service = on_kafka(kafka)
    assert not await said(topics.consumers, service, late=timedelta(0))
    await kafka.send([Record("notes", "k", (), b"{}")] * 3)
    found = await said(topics.consumers, service, late=timedelta(microseconds=1))
    assert f"warning consumer {kafka.group('notes')}: 3 records of topic {kafka.topic('notes')} wait" in found
