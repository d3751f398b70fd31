"""Two releases of a service at work on one outbox, as in every rollout: whoever relays, nothing is passed over."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import uuid4

import pytest
import pytest_asyncio

from corelib.clock import SystemClock
from corelib.message import Channel, Event, Transport
from corelib.outbox_log import Row
from corelib.postgres.store import Postgres
from corelib.store import LogSource
from corelib.testing.running import until
from corelib.transaction import Origin

KEPT, ADDED, QUEUED = Channel("kept"), Channel("added"), Channel("queued", transport=Transport.SQS)


class Kept(Event, type="test.kept.v1", channels=(KEPT,), key="name"):
    name: str


class Added(Event, type="test.added.v1", channels=(ADDED,), key="name"):
    name: str


class Queued(Event, type="test.queued.v1", channels=(QUEUED,), key="name"):
    name: str


async def release(dsn: str, schema: str, *events: type[Event]) -> Postgres:
    store = Postgres(dsn, schema=schema)
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset(events)))
    return store


@pytest_asyncio.fixture
async def smaller(postgres_dsn: str) -> AsyncIterator[Postgres]:
    store = await release(postgres_dsn, f"t{uuid4().hex[:12]}", Kept)
    yield store
    await store.close()


@pytest_asyncio.fixture
async def larger(smaller: Postgres, postgres_dsn: str) -> AsyncIterator[Postgres]:
    store = await release(postgres_dsn, smaller._schema, Kept, Added, Queued)
    yield store
    await store.close()


async def leased(store: Postgres, relay: str, *channels: Channel) -> LogSource:
    log = store.log(relay, frozenset(channel.name for channel in channels))
    assert await log.acquire("me")
    return log


async def read(log: LogSource) -> list[str]:
    """Return the channels of what is read, all of it delivered."""
    found: list[str] = []
    while chunk := await log.read(100):
        found += [cast("Row", row)[0] for row in chunk.rows]
        await log.commit(chunk.after)
    return found


async def test_a_relay_that_does_not_know_a_channel_sends_what_is_its_transports(
    smaller: Postgres, larger: Postgres
) -> None:
    log = await leased(smaller, "kafka", KEPT)
    async with larger.transaction() as tx:
        tx.publish(Added(name="a"))
        tx.publish(Queued(name="q"))
        tx.publish(Kept(name="k"))
    assert (await smaller.relay_state("kafka", frozenset({"kept"}))).lag_seconds > 0
    assert (await smaller.eras({"kafka": frozenset({"kept"})}).plan()).waiting == 3
    assert await read(log) == ["added", "kept"]
    assert await read(await leased(smaller, "sqs")) == ["queued"]


async def test_a_timer_fires_into_its_channel_whoever_fires_it(smaller: Postgres, larger: Postgres) -> None:
    async with larger.transaction() as tx:
        tx.schedule(Added(name="a"), at=datetime.now(UTC) - timedelta(seconds=1))

    async def fired() -> bool:
        return await smaller.fire(10) == 1

    await until(fired)
    assert await read(await leased(smaller, "kafka", KEPT)) == ["added"]


@pytest.mark.parametrize(("channels", "found"), [((KEPT,), ["kept"]), ((), [])])
async def test_what_does_not_name_its_transport_is_read_by_its_channel(
    smaller: Postgres, channels: tuple[Channel, ...], found: list[str]
) -> None:
    """As releases write it that know nothing of this column."""
    await smaller.pool.execute(
        "INSERT INTO outbox_0 (hash, channel, key, headers, payload) VALUES (1, 'kept', 'k', '\\x00', '\\x00')"
    )
    assert await read(await leased(smaller, "kafka", *channels)) == found
