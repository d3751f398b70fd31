"""Whether SQS has the queues and keeps what is in them, and whether somebody takes it; dead letters."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from corelib.doctor.finding import Case, Finding, note, problem, span, warning
from corelib.message import Channel, Transport
from corelib.sqs.queues import Queues, dead_letters_of

_DEPTH = "ApproximateNumberOfMessages"
_RETENTION = "MessageRetentionPeriod"
_SIZE = "MaximumMessageSize"
_REDRIVE = "RedrivePolicy"
# For so long a consumer may be down, as on Kafka.
_WINDOW = timedelta(days=1)


async def queues(case: Case) -> Sequence[Finding]:
    """Name missing queues, settings that lose messages, and dead letters; look twice at what waits."""
    asked = Queues(case.service.settings.aws())
    await asked.open()
    try:
        channels = {c.name: c for c in case.service.channels() if c.transport is Transport.SQS}
        there = [name for name in channels if not await asked.missing(name)]
        found = [_missing(name) for name in channels if name not in there]
        found += [finding for name in there for finding in await _queue(asked, channels[name])]
        return [*found, *await _waiting(case, asked, there)]
    finally:
        await asked.close()


def _missing(channel: str) -> Finding:
    what = "the queue does not exist: events for it wait in the outbox"
    return problem(f"queue {channel}", what, "Create it, or run the service's --provision.")


async def _queue(asked: Queues, channel: Channel) -> Sequence[Finding]:
    attributes = await _attributes(asked, channel.name, _REDRIVE, _RETENTION, _SIZE)
    found = list(_judge(channel, attributes))
    if _REDRIVE not in attributes:
        what = "has no dead-letter queue: a message that cannot be handled comes back until it expires"
        remedy = f"Give it a redrive policy to {dead_letters_of(channel.name)}; the service's --provision does."
        return [*found, warning(f"queue {channel.name}", what, remedy)]
    redrive = json.loads(attributes[_REDRIVE])
    found += _tries(channel, int(redrive["maxReceiveCount"]))
    return [*found, *await _dead(asked, channel.name, redrive["deadLetterTargetArn"].rpartition(":")[2])]


def _judge(channel: Channel, attributes: Mapping[str, str]) -> Iterator[Finding]:
    kept = int(attributes[_RETENTION])
    if kept < _WINDOW.total_seconds():
        what = f"keeps messages for {span(kept)}: a consumer that is down for longer loses events"
        yield problem(f"queue {channel.name}", what, f"Set {_RETENTION}={int(_WINDOW.total_seconds())} or more.")
    if (largest := int(attributes[_SIZE])) < channel.max_bytes:
        what = f"{_SIZE} is {largest}: an event of {channel.max_bytes} bytes (Channel.max_bytes) is refused"
        remedy = f"Set {_SIZE}={channel.max_bytes} or more, or declare a smaller max_bytes."
        yield problem(f"queue {channel.name}", what, remedy)


def _tries(channel: Channel, tries: int) -> Iterator[Finding]:
    if tries != channel.max_receives:
        what = f"gives a message out {tries} times, declared are {channel.max_receives} (Channel.max_receives)"
        remedy = f"Set maxReceiveCount={channel.max_receives} in its redrive policy, or declare max_receives={tries}."
        yield warning(f"queue {channel.name}", what, remedy)


async def _dead(asked: Queues, channel: str, named: str) -> Sequence[Finding]:
    dead = dead_letters_of(channel)
    if named != f"{asked.aws.prefix}{dead}":
        what = f"its dead letters go to {named}, where nobody counts them"
        remedy = f"Let its redrive policy name {asked.aws.prefix}{dead}; the service's --provision does."
        return [warning(f"queue {channel}", what, remedy)]
    if await asked.missing(dead):
        what = "the queue does not exist: what cannot be handled has nowhere to go"
        return [problem(f"queue {dead}", what, "Create it, or run the service's --provision.")]
    depth = await _depth(asked, dead)
    if not depth:
        return []
    what = f"{depth} messages could not be handled by the queue's consumer"
    return [problem(f"queue {dead}", what, "Look at them, mend the cause, then redrive them (StartMessageMoveTask).")]


async def _waiting(case: Case, asked: Queues, channels: Sequence[str]) -> Sequence[Finding]:
    """Tell a queue that grows or stands from one that is worked off: SQS itself tells nobody's age."""
    before = {channel: depth for channel in channels if (depth := await _depth(asked, channel))}
    if not before:
        return []
    await case.watch()
    found = []
    for channel, depth in before.items():
        after = await _depth(asked, channel)
        if after >= depth:
            what = f"{after} messages wait, and a moment ago it was {depth}: nobody takes them, or not fast enough"
            remedy = "Is its consumer running? CloudWatch tells for how long they wait: ApproximateAgeOfOldestMessage."
            found.append(warning(f"queue {channel}", what, remedy))
        else:
            found.append(note(f"queue {channel}", f"keeps up: {after} messages wait, a moment ago it was {depth}"))
    return found


async def _depth(asked: Queues, channel: str) -> int:
    return int((await _attributes(asked, channel, _DEPTH))[_DEPTH])


async def _attributes(asked: Queues, channel: str, *names: str) -> dict[str, str]:
    url = await asked.url(channel)
    attributes: dict[str, str] = (await asked.call("GetQueueAttributes", QueueUrl=url, AttributeNames=list(names)))[
        "Attributes"
    ]
    return attributes
