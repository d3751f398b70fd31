"""All checks together."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg

from corelib.config import ServiceSettings
from corelib.doctor.examination import examine
from corelib.doctor.finding import Case, Level
from corelib.kafka.broker import Kafka
from corelib.message import Envelope
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.sqs.broker import Sqs
from corelib.store import Failure
from doctor.notes import Mailed, Noted, OffClock, Reader, nothing, publish


async def test_one_examination_makes_every_check_and_tells_the_worst_first(
    tenant: tuple[Service, asyncpg.Connection], kafka: Kafka, aws_endpoint: str
) -> None:
    settings = ServiceSettings(aws_endpoint_url=aws_endpoint, aws_prefix=f"t{uuid4().hex[:8]}-")
    store: Postgres = tenant[0].store  # type: ignore[assignment]  # it is
    store.keep = timedelta(microseconds=1)
    service = Service(
        "notes",
        settings,
        store=store,
        publishes=[Noted, Mailed],
        actors=[Reader()],
        brokers=[kafka, Sqs(settings.aws())],
        clock=OffClock(timedelta(minutes=-1)),
    )
    await publish(service)
    async with store.transaction() as tx:
        tx.schedule(Noted(name="k"), at=datetime.now(UTC) - timedelta(hours=1))
    record = Envelope(uuid4(), "test.noted.v1", "test", datetime.now(UTC), "k").record("notes", b"{}")
    await store.parking.park("Reader.noted", record, Failure("ValueError: no such note"), attempts=5)
    await store.close()
    holding = await asyncpg.connect(store._dsn)
    async with holding.transaction():
        await holding.execute("SELECT pg_current_xact_id()")
        found = await examine(Case(service, nothing, long=timedelta(0)))
    await holding.close()

    assert Counter(each.about for each in found if not each.what.startswith("the role sees")) == {
        "relay kafka": 1,
        "relay sqs": 1,
        "timers": 1,
        "handler Reader.noted": 1,
        "postgres": 1,
        "outbox ring": 2,
        "inbox": 2,
        "clocks": 2,
        f"topic {kafka.topic('notes')}": 1,
        f"consumer {kafka.group('notes')}": 1,
        "queue letters": 1,
    }
    assert found[-1].what == "the role sees its own sessions only: long transactions of others stay unseen here"
    levels = [list(Level).index(each.level) for each in found]
    assert levels == sorted(levels)
    assert all(each.remedy for each in found)


async def test_a_broker_that_is_away_keeps_no_other_check_from_asking(postgres: Service) -> None:
    found = await examine(Case(postgres, nothing))
    assert any(each.about == "check of topics" and "could not be made: kafka" in each.what for each in found)
    assert any(each.about == "relay kafka" for each in found)
