"""Whether SQS has the queues, and whether their dead-letter queues are empty."""

from collections.abc import Sequence

from corelib.doctor.finding import Case, Finding, problem, warning
from corelib.errors import Unavailable
from corelib.message import Transport
from corelib.sqs.queues import Queues, dead_letters_of

_DEPTH = "ApproximateNumberOfMessages"


async def queues(case: Case) -> Sequence[Finding]:
    """Name missing queues, and dead letters."""
    asked = Queues(case.service.settings.aws())
    await asked.open()
    try:
        names = sorted(c.name for c in case.service.channels() if c.transport is Transport.SQS)
        return [finding for name in names for finding in await _queue(asked, name)]
    finally:
        await asked.close()


async def _queue(asked: Queues, channel: str) -> Sequence[Finding]:
    dead = dead_letters_of(channel)
    try:
        url = await asked.url(channel)
    except Unavailable as error:
        what = f"{error}: events for it wait in the outbox"
        return [problem(f"queue {channel}", what, "Create it, or run the service's --provision.")]
    attributes = (await asked.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["RedrivePolicy"]))["Attributes"]
    if "RedrivePolicy" not in attributes:
        what = "has no dead-letter queue: a message that cannot be handled comes back until it expires"
        return [warning(f"queue {channel}", what, f"Give it a redrive policy to {dead}.")]
    depth = await _depth(asked, dead)
    if not depth:
        return []
    what = f"{depth} messages could not be handled by the queue's consumer"
    return [problem(f"queue {dead}", what, "Look at them, mend the cause, then redrive them (StartMessageMoveTask).")]


async def _depth(asked: Queues, channel: str) -> int:
    url = await asked.url(channel)
    answer = await asked.call("GetQueueAttributes", QueueUrl=url, AttributeNames=[_DEPTH])
    return int(answer["Attributes"][_DEPTH])
