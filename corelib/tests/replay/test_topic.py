"""Sending again what a topic of Kafka holds, and to another one."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from corelib.errors import UsageError
from corelib.history import REPLAY_HEADER
from corelib.kafka.broker import Kafka
from corelib.message import Envelope, Record
from corelib.replay import Plan, Source, replay_of
from corelib.service import Service
from replay.steps import LAB, LEFT, RIGHT, TRACE, Came, everything, numbers, plan, replace_source, replayed, went


def of_topic(**chosen: Any) -> Plan:
    return replace_source(plan(**chosen), Source.TOPIC)


async def count(service: Service, what: Plan) -> int:
    return (await replay_of(service, what).count()).records


async def test_a_topic_is_replayed_into_itself_once(service: Service, kafka: Kafka) -> None:
    records = [went(n, f"k{n % 3}") for n in range(20)]
    await kafka.send([*records, Record(LEFT.name, "k", (), b"no event")])
    for _ in range(2):
        tally, done = await replayed(service, of_topic(channels={LEFT.name}))
        assert (tally.records, done.progress["sent"]) == (20, 20)
    there = [record for record in await everything(kafka, LEFT) if record.header("ce_id")]
    assert len(there) == 60
    for key in ("k0", "k1", "k2"):
        order = [n for n in range(20) if f"k{n % 3}" == key]
        assert numbers(there, key) == order * 3


async def test_what_is_chosen_of_a_topic(service: Service, kafka: Kafka) -> None:
    traced = went(1, "a", traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    came = Envelope(uuid4(), "test.came.v1", "test", datetime.now(UTC), "b")
    await kafka.send([traced, went(2, "b"), went(3, "c")])
    await kafka.send([came.record(RIGHT.name, Came(who="b", number=4).model_dump_json().encode())])
    for chosen, expected in (
        ({}, 4),
        ({"channels": {LEFT.name}}, 3),
        ({"types": {"test.came.v1"}}, 1),
        ({"keys": {"a", "b"}}, 3),
        ({"traces": {TRACE}}, 1),
        ({"traces": {TRACE}, "keys": {"b"}}, 0),
    ):
        assert await count(service, of_topic(**chosen)) == expected, chosen


async def test_a_time_range_of_a_topic_is_from_up_to_before(service: Service, kafka: Kafka) -> None:
    for number in range(3):
        await kafka.send([went(number)])
    history = replay_of(service, of_topic())._history
    times = [past.time async for page in history.pages(of_topic().selection) for past in page.records]
    for bounds in ({"since": times[1]}, {"until": times[1]}, {"since": times[1], "until": times[2]}):
        meant = [t for t in times if bounds.get("since", t) <= t < bounds.get("until", t + timedelta(seconds=1))]
        assert await count(service, of_topic(**bounds)) == len(meant)
    assert await count(service, of_topic(since=datetime.now(UTC) + timedelta(days=1))) == 0


async def test_what_a_transaction_gave_up_is_not_there_and_its_marks_are_no_obstacle(
    service: Service, kafka: Kafka, kafka_bootstrap: str
) -> None:
    topic = kafka.topic(LEFT.name)
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, transactional_id=topic) as producer:
        for record in (went(1), went(2), went(3)):
            await producer.begin_transaction()
            headers = [(name, value.encode()) for name, value in record.headers]
            await producer.send_and_wait(topic, record.payload, key=b"k", headers=headers, partition=0)
            await (producer.abort_transaction() if b":2" in record.payload else producer.commit_transaction())
    assert await count(service, of_topic(channels={LEFT.name})) == 2


async def test_it_is_sent_to_another_topic_as_it_was_and_says_by_which_replay(service: Service, kafka: Kafka) -> None:
    records = [went(n) for n in range(5)]
    await kafka.send(records)
    _, done = await replayed(service, of_topic().model_copy(update={"target": LAB.name}))
    there = await everything(kafka, LAB)
    assert [(record.key, record.payload) for record in there] == [(record.key, record.payload) for record in records]
    assert [record.headers for record in there] == [
        (*record.headers, (REPLAY_HEADER, str(done.id))) for record in records
    ]
    assert len(await everything(kafka, LEFT)) == 5


async def test_a_target_that_does_not_exist_is_refused(service: Service, kafka: Kafka) -> None:
    await kafka.send([went(1)])
    with pytest.raises(UsageError, match=r"--to nowhere: t\w+-nowhere does not exist; nothing was sent"):
        await replayed(service, of_topic().model_copy(update={"target": "nowhere"}))
    with pytest.raises(UsageError, match=r"--to no where: .* a topic's name has 1 to 249 .*; nothing was sent"):
        await replayed(service, of_topic().model_copy(update={"target": "no where"}))
    assert await service.store.operations.list() == []
