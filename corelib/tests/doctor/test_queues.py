"""Queues of SQS."""

from uuid import uuid4

from corelib.config import ServiceSettings
from corelib.doctor import queues
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.sqs.broker import Sqs
from corelib.sqs.queues import Queues, dead_letters_of
from doctor.notes import Mailed, said


async def test_queues_that_are_missing_and_dead_letters(aws_endpoint: str) -> None:
    prefix = f"t{uuid4().hex[:8]}-"
    settings = ServiceSettings(aws_endpoint_url=aws_endpoint, aws_prefix=prefix)
    aws = settings.aws()
    store = Postgres("postgresql://nobody@127.0.0.1:1/none")
    service = Service("mail", settings, store=store, publishes=[Mailed], brokers=[Sqs(aws)])
    assert "does not exist" in await said(queues.queues, service)

    asked = Queues(settings.aws())
    await asked.open()
    await asked.call("CreateQueue", QueueName=f"{prefix}letters")
    assert "has no dead-letter queue" in await said(queues.queues, service)
    await asked.provision("letters")
    assert not await said(queues.queues, service)
    await asked.call("SendMessage", QueueUrl=await asked.url(dead_letters_of("letters")), MessageBody="lost")
    assert "1 messages could not be handled" in await said(queues.queues, service)
    await asked.close()
