"""The SQS publisher, and the S3 bucket, against a real endpoint."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from corelib.aws.clients import Aws, Bucket
from corelib.broker import Refused
from corelib.errors import Unavailable
from corelib.history import REPLAY_HEADER
from corelib.message import Channel, Record, Transport
from corelib.sqs.broker import Sqs

MAILS = Channel("mails", Transport.SQS)
LEDGER = Channel("ledger.fifo", Transport.SQS)
CALLS = Channel("calls", Transport.SQS, max_receives=3)


def record(number: int, channel: str = "mails", key: str = "k", size: int = 0) -> Record:
    headers = (("ce_specversion", "1.0"), ("ce_id", f"id-{number}"), ("ce_type", "test.mailed.v1"))
    return Record(channel, key, headers, b'{"n":%d,"x":"%s"}' % (number, b"." * size))


@pytest_asyncio.fixture
async def sqs(aws: Aws) -> AsyncIterator[Sqs]:
    sqs = Sqs(aws)
    await sqs.open()
    await sqs.provision([MAILS, LEDGER, CALLS, Channel("orders")])
    yield sqs
    await sqs.close()


async def received(aws: Aws, queue: str) -> list[dict[str, Any]]:
    client = await aws.client("sqs")
    url = (await client.get_queue_url(QueueName=f"{aws.prefix}{queue}"))["QueueUrl"]
    messages: list[dict[str, Any]] = []
    while found := (
        await client.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
        )
    ).get("Messages"):
        messages += found
        for message in found:
            await client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return messages


async def test_every_record_arrives_with_its_attributes(sqs: Sqs, aws: Aws) -> None:
    await sqs.check()
    assert list(await sqs.send([record(number) for number in range(25)])) == [True] * 25
    messages = await received(aws, "mails")
    assert {message["Body"] for message in messages} == {record(number).payload.decode() for number in range(25)}
    attributes = {name: value["StringValue"] for name, value in messages[0]["MessageAttributes"].items()}
    assert attributes["ce_partitionkey"] == "k"
    assert attributes["ce_type"] == "test.mailed.v1"


async def test_large_records_are_batched_by_size(sqs: Sqs, aws: Aws) -> None:
    assert all(await sqs.send([record(number, size=200_000) for number in range(6)]))
    assert len(await received(aws, "mails")) == 6


async def test_more_than_ten_headers_do_not_break_a_record(sqs: Sqs, aws: Aws) -> None:
    headers = (*record(0).headers, *((f"h{number}", "x") for number in range(12)), ("empty", ""))
    assert list(await sqs.send([Record("mails", "k", headers, b"{}")])) == [True]
    (message,) = await received(aws, "mails")
    assert len(message["MessageAttributes"]) == 10


async def test_a_fifo_queue_keeps_order_per_key_and_drops_repeats(sqs: Sqs, aws: Aws) -> None:
    records = [record(number, "ledger.fifo", f"k-{number % 2}") for number in range(12)]
    assert all(await sqs.send(records))
    assert all(await sqs.send(records[:4]))
    messages = await received(aws, "ledger.fifo")
    assert len(messages) == 12
    for key in ("k-0", "k-1"):
        ids = [
            message["Attributes"]["MessageDeduplicationId"]
            for message in messages
            if message["Attributes"]["MessageGroupId"] == key
        ]
        assert ids == [each.header("ce_id") for each in records if each.key == key]


async def test_a_fifo_queue_takes_a_replay_for_what_it_is_and_its_repetition_for_one(sqs: Sqs, aws: Aws) -> None:
    first = record(1, "ledger.fifo")
    again = first._replace(headers=(*first.headers, (REPLAY_HEADER, "replay-1")))
    assert all(await sqs.send([first, again, again]))
    assert len(await received(aws, "ledger.fifo")) == 2


async def test_nothing_is_acknowledged_behind_a_refused_record(sqs: Sqs, aws: Aws) -> None:
    bad = Record("mails", "k", (("ce_id", "bad"),), b"\x01")  # SQS refuses control characters
    answers = await sqs.send([record(1), bad, record(2), record(3, key="other")])
    assert [bool(answer) for answer in answers] == [True, False, False, True]
    assert isinstance(answers[1], Refused)
    assert answers[2] is False
    bad = Record("ledger.fifo", "k", (("ce_id", "bad"),), b"\x01")
    answers = await sqs.send([bad, record(2, "ledger.fifo"), record(3, "ledger.fifo", "other")])
    assert [bool(answer) for answer in answers] == [False, False, True]
    assert len(await received(aws, "ledger.fifo")) == 1


@pytest.mark.parametrize("channel", [MAILS, CALLS], ids=lambda channel: channel.name)
async def test_what_is_received_as_often_as_its_channel_says_is_a_dead_letter(
    sqs: Sqs, aws: Aws, channel: Channel
) -> None:
    client = await aws.client("sqs")
    await sqs.send([record(1, channel.name)])
    url = (await client.get_queue_url(QueueName=f"{aws.prefix}{channel.name}"))["QueueUrl"]
    for _ in range(channel.max_receives):
        assert (await client.receive_message(QueueUrl=url, VisibilityTimeout=0))["Messages"]
    assert not (await client.receive_message(QueueUrl=url, VisibilityTimeout=0)).get("Messages")
    (dead,) = await received(aws, f"{channel.name}-dlq")
    assert dead["Body"] == record(1).payload.decode()


async def test_provisioning_twice_changes_nothing(sqs: Sqs) -> None:
    await sqs.provision([MAILS, LEDGER])
    assert list(await sqs.send([record(1)])) == [True]


async def test_a_missing_queue_is_unavailable(sqs: Sqs) -> None:
    with pytest.raises(Unavailable, match="does not exist"):
        await sqs.send([record(1, "nowhere")])


async def test_an_unreachable_sqs_is_unavailable() -> None:
    sqs = Sqs(Aws(endpoint_url="http://127.0.0.1:9", access_key_id="test", secret_access_key="test"))
    await sqs.open()
    with pytest.raises(Unavailable):
        await sqs.send([record(1)])
    with pytest.raises(Unavailable):
        await sqs.check()
    await sqs.close()


async def test_a_bucket_keeps_objects_and_takes_presigned_uploads(aws: Aws) -> None:
    bucket = Bucket(aws, "documents")
    with pytest.raises(Unavailable):
        await bucket.check()
    await bucket.provision()
    await bucket.provision()
    await bucket.open()
    await bucket.check()
    assert await bucket.get("missing") is None
    await bucket.put("a/b.txt", b"hello", content_type="text/plain")
    assert await bucket.get("a/b.txt") == b"hello"
    url = await bucket.presigned_put("images/1", content_type="image/png")
    async with aiohttp.ClientSession() as session:
        async with session.put(url, data=b"png", headers={"Content-Type": "image/png"}) as answer:
            assert answer.status == 200, await answer.text()
        async with session.get(await bucket.presigned_get("images/1")) as answer:
            assert await answer.read() == b"png"
    await bucket.close()
