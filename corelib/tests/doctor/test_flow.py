"""Relays, parked keys and schemas: whether events flow, on both stores."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from corelib.aws import Aws
from corelib.config import ServiceSettings
from corelib.doctor import flow
from corelib.doctor.examination import examine
from corelib.doctor.finding import Case
from corelib.dynamo.store import Dynamo
from corelib.message import Envelope
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.store import Failure
from doctor.notes import nothing, publish, said


async def test_events_that_no_relay_takes(service: Service) -> None:
    await publish(service)
    assert "problem relay kafka: no relay is at work; the oldest event has waited" in await said(flow.relays, service)


async def test_a_lease_that_a_dead_relay_holds(service: Service) -> None:
    await publish(service)
    assert await service.store.outbox("kafka", frozenset({"notes"})).acquire("ghost-7")
    assert "held by ghost-7, which gives no sign of life; the oldest event" in await said(flow.relays, service)


def at_work(service: Service, delivers: int = 0) -> Callable[[], Awaitable[None]]:
    """Return a time in which a relay shows life, and delivers so many events."""
    reader = service.store.outbox("kafka", frozenset({"notes"}))

    async def watch() -> None:
        assert await reader.acquire("relay-1")
        for _ in range(delivers):
            await reader.acknowledge(await reader.read(1))

    return watch


async def test_a_relay_that_stalls_is_told_from_one_that_is_behind_and_one_that_idles(service: Service) -> None:
    watch = at_work(service)
    await watch()
    assert "note relay kafka: idle" in await said(flow.relays, service, watch=watch)
    for _ in range(2):
        await publish(service, f"k{uuid4()}")
    assert "problem relay kafka: stalled: the oldest event" in await said(flow.relays, service, watch=watch)


async def test_a_relay_that_is_behind_but_moves(postgres: Service) -> None:
    watch = at_work(postgres, delivers=1)
    assert await postgres.store.outbox("kafka", frozenset({"notes"})).acquire("relay-1")
    for _ in range(3):
        await publish(postgres)
    behind = await said(flow.relays, postgres, watch=watch, late=timedelta(0))
    assert "warning relay kafka: behind: events move" in behind


async def test_a_relay_that_is_not_there_while_nothing_waits(service: Service) -> None:
    assert "warning relay kafka: no relay is at work; nothing waits" in await said(flow.relays, service)


async def test_parked_keys(service: Service) -> None:
    record = Envelope(uuid4(), "test.noted.v1", "test", datetime.now(UTC), "k").record("notes", b"{}")
    await service.store.parking.park("Reader.noted", record, Failure("ValueError: no such note"), attempts=5)
    found = await said(flow.parked, service)
    assert "problem handler Reader.noted: 1 events of 1 keys are parked" in found
    assert "no such note" in found
    assert "corelib parked" in found


async def test_a_schema_that_is_missing(database: str, aws_endpoint: str) -> None:
    for store in (
        Postgres(database, schema="nowhere"),
        Dynamo("nowhere", Aws(endpoint_url=aws_endpoint, prefix=f"t{uuid4().hex[:8]}-")),
    ):
        service = Service("none", ServiceSettings(), store=store)
        assert "Run `corelib outbox migrate`" in await said(flow.schema, service)
        assert any("corelib outbox migrate" in found.what for found in await examine(Case(service, nothing)))
