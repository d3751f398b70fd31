"""Sending again what was sent before, from real outboxes and a real topic."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from corelib.aws import Aws
from corelib.clock import ManualClock, SystemClock
from corelib.config import ServiceSettings
from corelib.dynamo.store import Dynamo
from corelib.errors import Forgotten, Unavailable, UsageError
from corelib.history import REPLAY_HEADER, Selection
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Envelope, Event, Record, Transport
from corelib.operation import Operation
from corelib.postgres.store import Postgres
from corelib.replay import KIND, Plan, Replay, Source, Tally, channels_for, replay_of
from corelib.service import Service
from corelib.sqs.broker import Sqs
from corelib.store import Failure, Store
from corelib.transaction import REMEMBER, Origin

LEFT = Channel(f"left-{uuid4().hex[:8]}", partitions=2)
RIGHT = Channel(f"right-{uuid4().hex[:8]}", partitions=2)
QUEUE = Channel("queue", Transport.SQS)
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Went(Event, type="test.went.v1", channels=(LEFT,), key="who"):
    who: str
    number: int


class Came(Event, type="test.came.v1", channels=(RIGHT,), key="who"):
    who: str
    number: int


class Mailed(Event, type="test.mailed.v1", channels=(QUEUE,), key="who"):
    who: str


ORIGIN = Origin("test", SystemClock(), frozenset({Went, Came}))


@pytest_asyncio.fixture(params=["postgres", "dynamodb"])
async def store(request: pytest.FixtureRequest, database: str, aws_endpoint: str) -> AsyncIterator[Store]:
    name = f"t{uuid4().hex[:12]}"
    store: Store = (
        Postgres(database, schema=name)
        if request.param == "postgres"
        else Dynamo("replay", Aws(endpoint_url=aws_endpoint, prefix=name))
    )
    await store.provision()
    await store.open(ORIGIN)
    yield store
    await store.close()


class Collector:
    """A publisher that keeps what it is given, and refuses what `refuses` says."""

    name = "collector"

    def __init__(self, refuses: Callable[[int], bool] = lambda _: False) -> None:
        self.records: list[Record] = []
        self.refuses = refuses
        self.calls = 0

    async def missing(self, channels: Sequence[Channel]) -> Sequence[str]:
        return [channel.name for channel in channels if channel.name == "nowhere"]

    async def send(self, records: Sequence[Record]) -> Sequence[bool]:
        self.calls += 1
        if self.refuses(self.calls):
            raise Unavailable(self.name, "as told")
        self.records += records
        return [True] * len(records)


async def publish(store: Store, *events: Event, traceparent: str | None = None) -> None:
    async with store.transaction(traceparent=traceparent) as tx:
        for event in events:
            tx.publish(event)


async def deliver(store: Store) -> None:
    """Be the relay: everything is sent and acknowledged."""
    reader = store.outbox("kafka", frozenset({LEFT.name, RIGHT.name}))
    assert await reader.acquire("test")
    while pending := await reader.read(1_000):
        await reader.acknowledge(pending)
    await reader.release()


def plan(**chosen: object) -> Plan:
    selection = Selection.model_validate({"channels": {LEFT.name, RIGHT.name}} | chosen)
    return Plan(source=Source.OUTBOX, transport="kafka", selection=selection, rate=0)


def replay(
    store: Store, what: Plan, to: Any, clock: SystemClock | ManualClock | None = None, *, elsewhere: bool = False
) -> Replay:
    return Replay(what, store.history("kafka"), to, store.operations, clock or SystemClock(), elsewhere=elsewhere)


def operation(what: Plan) -> Operation:
    return Operation(KIND, "ann", "a test", what.model_dump(mode="json"), datetime.now(UTC))


def numbers(records: Sequence[Record], key: str) -> list[int]:
    return [
        (Went if record.channel == LEFT.name else Came).model_validate_json(record.payload).number
        for record in records
        if record.key == key
    ]


async def test_what_is_chosen_is_sent_again_in_order_of_its_key_with_the_same_ids(store: Store) -> None:
    for number in range(30):
        await publish(store, Went(who=f"k{number % 3}", number=number), Came(who=f"k{number % 3}", number=-number))
    await deliver(store)
    everything, chosen = Collector(), Collector()
    await replay(store, plan(), everything).run(operation(plan()))
    what = plan(types={"test.went.v1"}, keys={"k1", "k2"})
    done = await replay(store, what, chosen).run(operation(what))
    for key in ("k1", "k2"):
        assert numbers(chosen.records, key) == [n for n in range(30) if f"k{n % 3}" == key]
    assert len(chosen.records) == 20
    ids = {record.header("ce_id") for record in everything.records}
    assert len(ids) == len(everything.records) == 60
    assert {record.header("ce_id") for record in chosen.records} < ids
    assert {record.header(REPLAY_HEADER) for record in chosen.records} == {str(done.id)}


async def test_what_waits_for_its_relay_is_not_sent_before_its_turn(store: Store) -> None:
    await publish(store, Went(who="k", number=1))
    await deliver(store)
    await publish(store, Went(who="k", number=2))
    collector = Collector()
    await replay(store, plan(), collector).run(operation(plan()))
    assert numbers(collector.records, "k") == [1]


async def test_a_time_range_is_from_up_to_before(store: Store) -> None:
    times = []
    for number in range(3):
        await publish(store, Went(who="k", number=number))
    await deliver(store)
    async for page in store.history("kafka").pages(plan().selection):
        times += [past.time for past in page.records]
    assert times == sorted(times)
    collector = Collector()
    what = plan(since=times[1], until=times[2])
    assert (await replay(store, what, collector).count()).records == 1
    await replay(store, what, collector).run(operation(what))
    assert numbers(collector.records, "k") == [1]


async def test_a_trace_is_found(store: Store) -> None:
    await publish(store, Went(who="k", number=1), traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    await publish(store, Went(who="k", number=2), traceparent=f"00-{TRACE[::-1]}-b7ad6b7169203331-01")
    await deliver(store)
    tally = await replay(store, plan(traces={TRACE}), Collector()).count()
    assert (tally.records, tally.types) == (1, {"test.went.v1": 1})


async def test_an_interrupted_replay_goes_on_where_it_stopped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corelib.postgres.history._PAGE", 10)
    monkeypatch.setattr("corelib.dynamo.history._PAGE", 10)
    monkeypatch.setattr("corelib.replay._MOST_AT_ONCE", 10)
    monkeypatch.setattr("corelib.replay._PATIENCE_SECONDS", 0)
    for number in range(0, 100, 20):
        await publish(store, *(Went(who="k", number=n) for n in range(number, number + 20)))
    await deliver(store)
    stopped, started = Collector(refuses=lambda call: call > 4), operation(plan())
    with pytest.raises(Unavailable):
        await replay(store, plan(), stopped).run(started)
    saved = await store.operations.find(started.id)
    assert saved is not None
    assert saved.ended is None
    assert saved.progress["sent"] == len(stopped.records) > 0
    rest = Collector()
    ended = await replay(store, Plan.model_validate(saved.details), rest).run(saved)
    assert numbers([*stopped.records, *rest.records], "k") == list(range(100))
    assert ended.progress["sent"] == 100


async def test_a_broker_that_comes_back_is_waited_for(store: Store) -> None:
    await publish(store, Went(who="k", number=1))
    await deliver(store)
    flaky = Collector(refuses=lambda call: call < 3)
    await replay(store, plan(), flaky).run(operation(plan()))
    assert numbers(flaky.records, "k") == [1]


async def test_what_inboxes_forgot_is_not_sent_where_consumers_would_park_it(store: Store) -> None:
    await publish(store, Went(who="k", number=1))
    await deliver(store)
    later = ManualClock(datetime.now(UTC) + REMEMBER)
    collector = Collector()
    work = replay(store, plan(), collector, later)
    tally = await work.count()
    with pytest.raises(Forgotten, match=r"1 of 1 events are older .* Say --since 20..-..-..T..:.., or .* --to"):
        work.require_remembered(tally)
    with pytest.raises(Forgotten, match=r"event \S+ is older"):
        await work.run(operation(plan()))
    assert not collector.records
    elsewhere = replay(store, plan().model_copy(update={"target": "lab"}), collector, later, elsewhere=True)
    elsewhere.require_remembered(await elsewhere.count())
    await elsewhere.run(operation(elsewhere.plan))
    assert [record.channel for record in collector.records] == ["lab"]


async def test_who_what_and_why_are_written_down(store: Store) -> None:
    await publish(store, Went(who="k", number=1))
    await deliver(store)
    what = plan(keys={"k"})
    done = await replay(store, what, Collector()).run(operation(what))
    (kept,) = await store.operations.list()
    assert kept == done
    assert (kept.who, kept.reason, Plan.model_validate(kept.details)) == ("ann", "a test", what)
    assert kept.ended is not None
    assert await store.operations.find(uuid4()) is None


async def test_another_topic_is_sent_to(store: Store) -> None:
    await publish(store, Went(who="k", number=1))
    await deliver(store)
    collector, what = Collector(), plan().model_copy(update={"target": "elsewhere"})
    await replay(store, what, collector).run(operation(what))
    assert [record.channel for record in collector.records] == ["elsewhere"]
    lost = plan().model_copy(update={"target": "nowhere"})
    with pytest.raises(UsageError, match="nowhere does not exist"):
        await replay(store, lost, collector).run(operation(lost))


@pytest_asyncio.fixture
async def service(postgres_dsn: str, kafka_bootstrap: str) -> AsyncIterator[Service]:
    store = Postgres(postgres_dsn, schema=f"t{uuid4().hex[:12]}")
    kafka = Kafka(kafka_bootstrap, prefix=f"t{uuid4().hex[:8]}-")
    service = Service("replay", ServiceSettings(), store=store, publishes=[Went, Came], brokers=[kafka])
    await service.provision()
    await store.open(service.origin)
    await kafka.open()
    yield service
    await kafka.close()
    await store.close()


async def replayed(service: Service, what: Plan) -> tuple[Tally, Operation]:
    work = replay_of(service, what)
    return await work.count(), await work.run(operation(what))


async def test_a_topic_is_replayed_into_itself_once(service: Service) -> None:
    envelopes = [Envelope(uuid4(), "test.went.v1", "test", datetime.now(UTC), f"k{n % 3}") for n in range(20)]
    sent = [
        envelope.record(LEFT.name, Went(who=envelope.key, number=n).model_dump_json().encode())
        for n, envelope in enumerate(envelopes)
    ]
    kafka = service.brokers["kafka"]
    await kafka.send([*sent, Record(LEFT.name, "k", (), b"no event")])
    what = replace_source(plan(channels={LEFT.name}), Source.TOPIC)
    for _ in range(2):
        tally, done = await replayed(service, what)
        assert (tally.records, done.progress["sent"]) == (20, 20)


async def test_a_topic_is_read_from_a_time_on(service: Service) -> None:
    kafka = service.brokers["kafka"]
    for number in range(2):
        envelope = Envelope(uuid4(), "test.went.v1", "test", datetime.now(UTC), "k")
        await kafka.send([envelope.record(LEFT.name, Went(who="k", number=number).model_dump_json().encode())])
    what = replace_source(plan(channels={LEFT.name}), Source.TOPIC)
    history = replay_of(service, what)._history
    times = [past.time async for page in history.pages(what.selection) for past in page.records]
    later = times[0] + timedelta(milliseconds=1)
    chosen = what.model_copy(update={"selection": Selection(channels=what.selection.channels, since=later)})
    assert (await replay_of(service, chosen).count()).records == sum(time >= later for time in times)
    ahead = Selection(channels=what.selection.channels, since=datetime.now(UTC) + timedelta(days=1))
    assert (await replay_of(service, what.model_copy(update={"selection": ahead})).count()).records == 0


async def test_a_parked_key_is_sent_once_however_many_handlers_parked_it(service: Service) -> None:
    envelope = Envelope(uuid4(), "test.went.v1", "test", datetime.now(UTC), "k")
    record = envelope.record(LEFT.name, Went(who="k", number=1).model_dump_json().encode())
    for handler in ("A.went", "B.went"):
        await service.store.parking.park(handler, record, Failure("bad"), attempts=1)
    tally, _ = await replayed(service, replace_source(plan(keys={"k"}), Source.PARKED))
    assert tally.records == 1
    assert len(await service.store.parking.list()) == 2


def replace_source(what: Plan, source: Source) -> Plan:
    return what.model_copy(update={"source": source})


def test_topics_of_two_kinds_are_to_be_chosen_among() -> None:
    store = Postgres("postgresql://nobody@127.0.0.1:1/none")
    service = Service(
        "two", ServiceSettings(), store=store, publishes=[Went, Mailed], brokers=[Kafka("127.0.0.1:1"), Sqs(Aws())]
    )
    with pytest.raises(UsageError, match=r"queue \(sqs\)"):
        channels_for(service, Source.OUTBOX, [])
    assert channels_for(service, Source.OUTBOX, ["queue"]) == ("sqs", frozenset({"queue"}))
    with pytest.raises(UsageError, match=f"the service's are {LEFT.name}, queue"):
        channels_for(service, Source.OUTBOX, ["orders"])
