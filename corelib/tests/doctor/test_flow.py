"""Relays, timers and schemas: whether events flow, on both stores."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from corelib.aws.clients import Aws
from corelib.config import ServiceSettings
from corelib.doctor import flow
from corelib.doctor.examination import examine
from corelib.doctor.finding import Case
from corelib.documents import Index, Table
from corelib.dynamo.store import Dynamo
from corelib.errors import Unavailable
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.testing.running import until
from doctor.notes import Noted, nothing, publish, said


async def test_events_that_no_relay_takes(service: Service) -> None:
    await publish(service)
    found = await said(flow.relays, service)
    assert "problem relay kafka: no relay is at work; the oldest event has waited" in found
    assert "One that runs waits for its broker: /readyz and its log say what for." in found


async def test_a_lease_that_a_dead_relay_holds(service: Service) -> None:
    await publish(service)
    assert await service.store.outbox("kafka", frozenset({"notes"})).acquire("ghost-7")
    assert "held by ghost-7, which gives no sign of life; the oldest event" in await said(flow.relays, service)


def at_work(service: Service, *, delivers: bool = False) -> Callable[[], Awaitable[None]]:
    """Return a time in which a relay shows life, and delivers an event or does not."""
    store, channels = service.store, frozenset({"notes"})
    reader = store.outbox("kafka", channels)

    async def watch() -> None:
        assert await reader.acquire("relay-1")
        before = await store.relay_state("kafka", channels)

        async def moved() -> bool:
            return (await store.relay_state("kafka", channels)).place != before.place

        if delivers:
            await reader.acknowledge(await reader.read(1))
            await until(moved)

    return watch


async def test_a_relay_that_stalls_is_told_from_one_that_is_behind_and_one_that_idles(service: Service) -> None:
    watch = at_work(service)
    await watch()
    assert "note relay kafka: idle" in await said(flow.relays, service, watch=watch)
    for _ in range(2):
        await publish(service, f"k{uuid4()}")
    assert "problem relay kafka: stalled: the oldest event" in await said(flow.relays, service, watch=watch)


async def test_a_relay_that_is_behind_is_told_from_one_that_keeps_up(service: Service) -> None:
    watch = at_work(service)
    await watch()
    for _ in range(3):
        await publish(service)
    behind = await said(flow.relays, service, watch=at_work(service, delivers=True), late=timedelta(0))
    assert "warning relay kafka: behind: events move" in behind
    keeps_up = await said(flow.relays, service, watch=at_work(service, delivers=True), late=timedelta(hours=1))
    assert "note relay kafka: keeps up: the oldest event has waited for 0:" in keeps_up


async def test_a_relay_that_is_not_there_while_nothing_waits(service: Service) -> None:
    assert "warning relay kafka: no relay is at work; nothing waits" in await said(flow.relays, service)


async def test_a_lease_that_a_relay_loses_to_another(postgres: Service) -> None:
    channels = frozenset({"notes"})
    first, second = postgres.store.outbox("kafka", channels), postgres.store.outbox("kafka", channels)
    assert await first.acquire("relay-1")

    async def change_hands() -> None:
        await first.release()
        assert await second.acquire("relay-2")

    found = await said(flow.relays, postgres, watch=change_hands)
    assert "warning relay kafka: relay-1 lost the lease, or gave it up, and relay-2 took it" in found
    assert "lost the lease" not in await said(flow.relays, postgres)


async def test_timers_that_nobody_fires(service: Service) -> None:
    async with service.store.transaction() as tx:
        tx.schedule(Noted(name="later"), at=datetime.now(UTC) + timedelta(hours=1))
    assert not await said(flow.timers, service, late=timedelta(0))
    async with service.store.transaction() as tx:
        tx.schedule(Noted(name="k"), at=datetime.now(UTC) - timedelta(minutes=2))
    assert "problem timers: the first that is due waits for 0:02:" in await said(flow.timers, service)
    assert not await said(flow.timers, service, late=timedelta(minutes=10))
    assert await service.store.fire(10) == 1
    assert not await said(flow.timers, service, late=timedelta(0))


async def test_a_table_of_the_service_that_is_missing(aws_endpoint: str) -> None:
    books = Table("books", key="isbn", indexes=(Index("by-reader", key="reader"),))
    prefix = f"t{uuid4().hex[:8]}-"
    store = Dynamo("own", Aws(endpoint_url=aws_endpoint, prefix=prefix), tables=[books])
    service = Service("own", ServiceSettings(), store=store)
    await store.migrate()
    await store.open(service.origin)
    try:
        expected = f"problem schema: missing: table {prefix}books -> Create it, or run the service's --provision."
        assert await said(flow.schema, service) == expected
        with pytest.raises(Unavailable, match="a table or stream does not exist: `corelib doctor` names it"):
            await store.get(books, {"isbn": "1"})
        await store.provision()
        assert not await said(flow.schema, service)
    finally:
        await store.close()


async def test_a_schema_that_is_missing(database: str, aws_endpoint: str) -> None:
    for store in (
        Postgres(database, schema="nowhere"),
        Dynamo("nowhere", Aws(endpoint_url=aws_endpoint, prefix=f"t{uuid4().hex[:8]}-")),
    ):
        service = Service("none", ServiceSettings(), store=store)
        assert "Run `corelib outbox migrate`" in await said(flow.schema, service)
        found = await examine(Case(service, nothing))
        assert {each.about for each in found} >= {"schema", store.name}
