"""Whether Kafka keeps the promises that it is trusted with, and whether the service keeps up with it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from corelib.doctor.finding import Case, Finding, note, problem, span, warning
from corelib.kafka.admin import Topic, administering, settings_of, topics_of
from corelib.kafka.broker import Kafka
from corelib.kafka.lag import lag_of
from corelib.message import Channel, Transport
from corelib.transaction import MAX_EVENT_BYTES

# Headers, key and the batch around one record.
_OVERHEAD_BYTES = 16 * 1024
# The shortest time for which the events of a service are kept to be replayed.
_WINDOW = timedelta(days=1)
_MILLISECOND = timedelta(milliseconds=1)


async def topics(case: Case) -> Sequence[Finding]:
    """Compare topics and their settings with what the service promises."""
    kafka, channels = _kafka(case), _channels(case)
    names = {kafka.topic(name) for name in channels}
    async with administering(kafka.cluster) as admin:
        known = await topics_of(admin, names)
        settings = await settings_of(admin, known)
        brokers = len((await admin.describe_cluster())["brokers"])
    found: list[Finding] = []
    for name, channel in sorted(channels.items()):
        topic = known.get(kafka.topic(name))
        if topic is None:
            what = "the topic does not exist: events for it wait in the outbox, and so do those behind them"
            found.append(problem(f"topic {kafka.topic(name)}", what, "Create it, or run the service's --provision."))
        else:
            found += judge_replication(topic, settings[topic.name], brokers)
            found += _kept(topic, settings[topic.name], channel, case.service.origin.remember)
            found += _sizes(topic, settings[topic.name], channel)
    return found


def judge_replication(topic: Topic, settings: Mapping[str, str], brokers: int) -> Iterator[Finding]:
    """Say what a topic's copies, and who may lead them, mean for what was acknowledged."""
    about, least = f"topic {topic.name}", int(settings["min.insync.replicas"])
    if topic.replicas == 1 and brokers == 1:
        yield note(about, "one broker, one replica: as durable as that machine", "Use three brokers in production.")
    elif topic.replicas == 1:
        yield problem(about, "one replica: it is lost with its broker", "Give it three replicas.")
    elif least < 2:  # noqa: PLR2004 -- two copies are what acks=all is for
        what = f"min.insync.replicas is {least} of {topic.replicas}: an acknowledged event may be on one broker only"
        yield problem(about, what, "Set min.insync.replicas=2.")
    elif least >= topic.replicas:
        what = f"min.insync.replicas is {least} of {topic.replicas}: nothing can be sent while one broker is down"
        yield warning(about, what, f"Set min.insync.replicas={max(2, topic.replicas - 1)}, or add replicas.")
    if settings["unclean.leader.election.enable"] == "true":
        what = "unclean leader election is on: a broker that lags may lead, and acknowledged events vanish"
        yield problem(about, what, "Set unclean.leader.election.enable=false.")


def _kept(topic: Topic, settings: Mapping[str, str], channel: Channel, remember: timedelta) -> Iterator[Finding]:
    about, kept = f"topic {topic.name}", int(settings["retention.ms"])
    compacted = "compact" in settings["cleanup.policy"]
    if compacted and not channel.compacted:
        what = "it is compacted: only the last event of a key stays, and a consumer that is behind misses the others"
        yield problem(about, what, "Set cleanup.policy=delete, or declare Channel(compacted=True).")
    if "delete" not in settings["cleanup.policy"]:
        return
    if 0 <= kept < _WINDOW / _MILLISECOND:
        what = f"retention is {span(kept / 1_000)}: a consumer that is down for longer loses events"
        yield problem(about, what, f"Set retention.ms={int(_WINDOW / _MILLISECOND)} or more.")
    if kept < 0 or kept > remember / _MILLISECOND:
        kept_for = "for ever" if kept < 0 else f"for {span(kept / 1_000)}"
        what = f"keeps events {kept_for}, inboxes remember them for {span(remember.total_seconds())}: a consumer that"
        what += " starts again from the beginning handles twice what its inbox forgot"
        yield warning(about, what, f"Set retention.ms={int(remember / _MILLISECOND)} or less.")


def _sizes(topic: Topic, settings: Mapping[str, str], channel: Channel) -> Iterator[Finding]:
    about, largest = f"topic {topic.name}", int(settings["max.message.bytes"])
    if largest < MAX_EVENT_BYTES + _OVERHEAD_BYTES:
        what = (
            f"max.message.bytes is {largest}: an event of {MAX_EVENT_BYTES} bytes, which may be published, is refused"
        )
        yield problem(about, what, f"Set max.message.bytes={MAX_EVENT_BYTES + _OVERHEAD_BYTES} or more.")
    if len(topic.partitions) != channel.partitions:
        what = f"has {len(topic.partitions)} partitions, declared are {channel.partitions}"
        yield note(about, what, "Fewer share the work among fewer consumers; changing it moves keys.")


async def consumers(case: Case) -> Sequence[Finding]:
    """Tell what waits for the service's consumers, and for how long."""
    kafka = _kafka(case)
    taken = {kafka.topic(channel.name) for channel in case.service.consumed() if channel.transport is Transport.KAFKA}
    if not taken:
        return []
    group = kafka.group(case.service.name)
    return [
        warning(
            f"consumer {group}",
            f"{lag.records} records of topic {topic} wait, the oldest for {span(lag.seconds)}",
            "Is the consumer running? Is a key slow, or does a handler wait for its store? See event_age_seconds.",
        )
        for topic, lag in (await lag_of(kafka.cluster, group, taken)).items()
        if lag.seconds > case.late.total_seconds()
    ]


def _channels(case: Case) -> dict[str, Channel]:
    return {channel.name: channel for channel in case.service.channels() if channel.transport is Transport.KAFKA}


def _kafka(case: Case) -> Kafka:
    broker = case.service.brokers[Transport.KAFKA]
    if not isinstance(broker, Kafka):
        raise TypeError("a check of Kafka was asked about another broker")
    return broker
