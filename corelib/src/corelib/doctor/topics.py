"""Whether Kafka keeps the promises that it is trusted with, and whether the service keeps up with it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from corelib.doctor.finding import Case, Finding, note, problem, span, warning
from corelib.kafka.admin import Topic, administering, settings_of, topics_of
from corelib.kafka.broker import Kafka
from corelib.kafka.lag import Lag, lag_of, members_of
from corelib.message import Channel, Transport
from corelib.postgres.store import Postgres
from corelib.transaction import channels_of

# Headers, key and the batch around one record.
_OVERHEAD_BYTES = 16 * 1024
# The shortest time for which the events of a service are kept to be replayed; a store may be told to keep them longer.
_WINDOW = timedelta(days=1)
_SOON = 0.75  # of a topic's retention, that it is told of what waits for so long
_MEBIBYTE = 1 << 20
_MILLISECOND = timedelta(milliseconds=1)


async def topics(case: Case) -> Sequence[Finding]:
    """Compare topics and their settings with what the service promises."""
    kafka, channels = _kafka(case), _channels(case)
    published = {channel.name for channel in channels_of(case.service.publishes)}
    names = {kafka.topic(name) for name in channels}
    async with administering(kafka.cluster) as admin:
        known = await topics_of(admin, names)
        settings = await settings_of(admin, known)
        brokers = len((await admin.describe_cluster())["brokers"])
    found: list[Finding] = []
    for name, channel in sorted(channels.items()):
        topic = known.get(kafka.topic(name))
        if topic is None:
            found.append(_missing(case, kafka.topic(name), published=name in published))
        else:
            found += judge_replication(topic, settings[topic.name], brokers)
            found += _cleaned(topic, settings[topic.name], channel)
            found += _kept(topic, settings[topic.name], case.service.origin.remember, window_of(case))
            found += _sizes(topic, settings[topic.name], channel)
    return found


def _missing(case: Case, topic: str, *, published: bool) -> Finding:
    if published:
        what = "the topic does not exist: events for it wait in the outbox"
        one_log = isinstance(case.service.store, Postgres)
        behind = ", and so do those behind them" if one_log else "; others flow"
        return problem(f"topic {topic}", f"{what}{behind}", "Create it, or run the service's --provision.")
    what = "the topic does not exist: nothing that others publish to it is handled here"
    return problem(f"topic {topic}", what, "Create it, or run the --provision of the service that publishes to it.")


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


def window_of(case: Case) -> timedelta:
    """Return for how long a service means to have its events to be replayed, and so its consumers to be down."""
    store = case.service.store
    return max(_WINDOW, store.keep) if isinstance(store, Postgres) else _WINDOW


def _cleaned(topic: Topic, settings: Mapping[str, str], channel: Channel) -> Iterator[Finding]:
    if "compact" in settings["cleanup.policy"] and not channel.compacted:
        what = "it is compacted: only the last event of a key stays, and a consumer that is behind misses the others"
        yield problem(f"topic {topic.name}", what, "Set cleanup.policy=delete, or declare Channel(compacted=True).")


def _kept(topic: Topic, settings: Mapping[str, str], remember: timedelta, window: timedelta) -> Iterator[Finding]:
    about, kept, size = f"topic {topic.name}", int(settings["retention.ms"]), int(settings["retention.bytes"])
    if "delete" not in settings["cleanup.policy"]:
        return
    if 0 <= kept < window / _MILLISECOND:
        what = f"retention is {span(kept / 1_000)}, below the window of replay, {span(window.total_seconds())}: a"
        what += " consumer that is down for longer loses events"
        yield problem(about, what, f"Set retention.ms={int(window / _MILLISECOND)} or more.")
    if size >= 0:
        what = (
            f"keeps {size / _MEBIBYTE:.0f} MiB of a partition, however young: a burst pushes out what is not read yet"
        )
        yield warning(about, what, "Set retention.bytes=-1, and give the disks room for retention.ms.")
    if kept < 0 or kept > remember / _MILLISECOND:
        kept_for = "for ever" if kept < 0 else f"for {span(kept / 1_000)}"
        what = f"keeps events {kept_for}, inboxes remember them for {span(remember.total_seconds())}: a consumer that"
        what += " starts again from the beginning handles twice what its inbox forgot"
        yield warning(about, what, f"Set retention.ms={int(remember / _MILLISECOND)} or less.")


def _sizes(topic: Topic, settings: Mapping[str, str], channel: Channel) -> Iterator[Finding]:
    about, largest = f"topic {topic.name}", int(settings["max.message.bytes"])
    if largest < channel.max_bytes + _OVERHEAD_BYTES:
        what = f"max.message.bytes is {largest}: an event of {channel.max_bytes} bytes (Channel.max_bytes) is refused"
        remedy = f"Set max.message.bytes={channel.max_bytes + _OVERHEAD_BYTES} or more, or declare a smaller max_bytes."
        yield problem(about, what, remedy)
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
    members = await members_of(kafka.cluster, group)
    lags = await lag_of(kafka.cluster, group, taken)
    about = f"consumer {group}"
    found = [_lost(about, topic, lag.lost) for topic, lag in sorted(lags.items()) if lag.lost]
    waiting = {topic: lag for topic, lag in sorted(lags.items()) if lag.records}
    if waiting:
        async with administering(kafka.cluster) as admin:
            settings = await settings_of(admin, waiting)
        for topic, lag in waiting.items():
            found += [
                _waits(about, topic, lag, case.late, members),
                *judge_left(about, topic, lag, settings.get(topic, {})),
            ]
        return found
    if not members:
        return [*found, warning(about, "no consumer is at work; nothing waits", _START)]
    return [*found, note(about, "idle: everything on its topics is handled")]


def _lost(about: str, topic: str, lost: int) -> Finding:
    what = f"{lost} records of topic {topic} were deleted before it read them"
    remedy = "`corelib replay` of the service that publishes them sends them again, as long as its outbox has them:"
    return problem(about, what, f"{remedy} choose --topic, and --since before its consumer was last at work.")


def judge_left(about: str, topic: str, lag: Lag, settings: Mapping[str, str]) -> Iterator[Finding]:
    """Say when a topic's retention comes to what waits, in the last quarter of its time."""
    # Nothing is told of who may not know them, whom `topics` tells that.
    kept = int(settings.get("retention.ms", -1)) / 1_000
    if "delete" in settings.get("cleanup.policy", "") and 0 <= kept * _SOON < lag.seconds:
        what = f"retention deletes what waits in topic {topic} in {span(max(0.0, kept - lag.seconds))}: it is lost then"
        yield warning(about, what, f"Have it handled before, or raise retention.ms, {kept * 1_000:.0f}, until it is.")


_START = 'Start the service with its part "consumer".'


def _waits(about: str, topic: str, lag: Lag, late: timedelta, members: int) -> Finding:
    what = f"{lag.records} records of topic {topic} wait, the oldest for {span(lag.seconds)}"
    if not members:
        return problem(about, f"no consumer is at work; {what}", _START)
    if lag.seconds > late.total_seconds():
        remedy = "Is a key slow, or does a handler wait for its store? See event_age_seconds, and the service's log."
        return warning(about, f"behind: {what}", remedy)
    return note(about, f"keeps up: {what}")


def _channels(case: Case) -> dict[str, Channel]:
    return {channel.name: channel for channel in case.service.channels() if channel.transport is Transport.KAFKA}


def _kafka(case: Case) -> Kafka:
    broker = case.service.brokers[Transport.KAFKA]
    if not isinstance(broker, Kafka):
        raise TypeError("a check of Kafka was asked about another broker")
    return broker
