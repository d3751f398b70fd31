"""Queues of SQS."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest
import pytest_asyncio

from corelib.config import ServiceSettings
from corelib.doctor import queues
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.sqs.broker import Sqs
from corelib.sqs.queues import Queues, dead_letters_of
from doctor.notes import Mailed, said

(LETTERS,) = Mailed.channels


@pytest.fixture
def mail(aws_endpoint: str) -> Service:
    settings = ServiceSettings(aws_endpoint_url=aws_endpoint, aws_prefix=f"t{uuid4().hex[:8]}-")
    store = Postgres("postgresql://nobody@127.0.0.1:1/none")
    return Service("mail", settings, store=store, publishes=[Mailed], brokers=[Sqs(settings.aws())])


@pytest_asyncio.fixture
async def asked(mail: Service) -> AsyncIterator[Queues]:
    queues = Queues(mail.settings.aws())
    await queues.open()
    yield queues
    await queues.close()


async def test_queues_that_are_missing_and_dead_letters(mail: Service, asked: Queues) -> None:
    assert "does not exist" in await said(queues.queues, mail)
    await asked.call("CreateQueue", QueueName=f"{mail.settings.aws_prefix}letters")
    assert "has no dead-letter queue" in await said(queues.queues, mail)
    await asked.provision(LETTERS)
    assert not await said(queues.queues, mail)
    url = await asked.url("letters")
    for seconds, found in (("60", "problem queue letters: keeps messages for 0:01:00"), ("86400", "")):
        await asked.call("SetQueueAttributes", QueueUrl=url, Attributes={"MessageRetentionPeriod": seconds})
        assert (await said(queues.queues, mail)).startswith(found)
    small = {"MaximumMessageSize": "200000"}
    await asked.call("SetQueueAttributes", QueueUrl=url, Attributes=small)
    assert "MaximumMessageSize is 200000: an event of 262144 bytes (Channel.max_bytes) is refused" in await said(
        queues.queues, mail
    )
    await asked.call("SetQueueAttributes", QueueUrl=url, Attributes={"MaximumMessageSize": "262144"})
    assert not await said(queues.queues, mail)
    await asked.call("SendMessage", QueueUrl=await asked.url(dead_letters_of("letters")), MessageBody="lost")
    assert "1 messages could not be handled" in await said(queues.queues, mail)


async def test_dead_letters_that_go_where_nobody_looks(mail: Service, asked: Queues) -> None:
    elsewhere = f"{mail.settings.aws_prefix}elsewhere"
    await asked.call("CreateQueue", QueueName=f"{mail.settings.aws_prefix}letters")
    await asked.call("CreateQueue", QueueName=elsewhere)
    where = await asked.call("GetQueueAttributes", QueueUrl=await asked.url("elsewhere"), AttributeNames=["QueueArn"])
    redrive = {"deadLetterTargetArn": where["Attributes"]["QueueArn"], "maxReceiveCount": "5"}
    url = await asked.url("letters")
    await asked.call("SetQueueAttributes", QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(redrive)})
    found = await said(queues.queues, mail)
    assert f"warning queue letters: its dead letters go to {elsewhere}, where nobody counts them" in found


async def test_tries_that_are_not_as_many_as_declared_and_a_dead_letter_queue_that_is_gone(
    mail: Service, asked: Queues
) -> None:
    for tries, found in ((5, "warning queue letters: gives a message out 5 times, declared are 100"), (100, "")):
        await asked.provision(replace(LETTERS, max_receives=tries))
        assert (await said(queues.queues, mail)).startswith(found)
    await asked.call("DeleteQueue", QueueUrl=await asked.url(dead_letters_of("letters")))
    assert "problem queue letters-dlq: the queue does not exist" in await said(queues.queues, mail)


async def test_a_queue_that_nobody_takes_from_is_told_from_one_that_is_worked_off(mail: Service, asked: Queues) -> None:
    await asked.provision(LETTERS)
    url = await asked.url("letters")
    for _ in range(3):
        await asked.call("SendMessage", QueueUrl=url, MessageBody="a letter")
    standing = await said(queues.queues, mail)
    assert "warning queue letters: 3 messages wait, and a moment ago it was 3" in standing

    async def take_one() -> None:
        (message,) = (await asked.call("ReceiveMessage", QueueUrl=url))["Messages"]
        await asked.call("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    moving = await said(queues.queues, mail, watch=take_one)
    assert "note queue letters: keeps up: 2 messages wait" in moving
