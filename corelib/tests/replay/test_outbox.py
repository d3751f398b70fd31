"""Sending again what an outbox delivered and still keeps, on both stores."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from corelib.aws.clients import Aws
from corelib.clock import ManualClock
from corelib.config import ServiceSettings
from corelib.errors import Forgotten, UsageError
from corelib.history import REPLAY_HEADER
from corelib.kafka.broker import Kafka
from corelib.postgres.store import Postgres
from corelib.replay import Plan, Source, channels_for
from corelib.service import Service
from corelib.sqs.broker import Sqs
from corelib.store import Store
from corelib.transaction import REMEMBER
from replay.steps import LEFT, TRACE, Came, Collector, Mailed, Went, deliver, numbers, operation, plan, publish, replay


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


def test_topics_of_two_kinds_are_to_be_chosen_among() -> None:
    store = Postgres("postgresql://nobody@127.0.0.1:1/none")
    service = Service(
        "two", ServiceSettings(), store=store, publishes=[Went, Mailed], brokers=[Kafka("127.0.0.1:1"), Sqs(Aws())]
    )
    with pytest.raises(UsageError, match=r"queue \(sqs\)"):
        channels_for(service, Source.OUTBOX, [])
    with pytest.raises(UsageError, match=r"queue \(sqs\)"):
        channels_for(service, Source.OUTBOX, [], frozenset({Went.type, Mailed.type}))
    queue = ("sqs", frozenset({"queue"}))
    assert channels_for(service, Source.OUTBOX, ["queue"]) == queue
    assert channels_for(service, Source.OUTBOX, [], frozenset({Mailed.type})) == queue
    with pytest.raises(UsageError, match=f"the service's are {LEFT.name}, queue"):
        channels_for(service, Source.OUTBOX, ["orders"])
