"""Events in the write-ahead log only: the form in which Debezium finds them, on a server of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import orjson
import pytest
import pytest_asyncio

from corelib.config import ServiceSettings
from corelib.errors import Unavailable
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Event
from corelib.postgres.store import Postgres
from corelib.service import Service
from devstack.parts import postgres_server
from devstack.settings import free_ports

CHANNEL = Channel("orders")


class Placed(Event, type="test.placed.v1", channels=(CHANNEL,), key="order"):
    order: str


@pytest_asyncio.fixture
async def dsn(tmp_path: Path) -> AsyncIterator[str]:
    """A server that writes enough into its log to decode it."""
    port = free_ports(1)[0]
    async with postgres_server(tmp_path, port) as started:
        connection = await asyncpg.connect(started)
        await connection.execute("ALTER SYSTEM SET wal_level = logical")
        await connection.close()
    async with postgres_server(tmp_path, port) as started:
        yield started


async def test_an_event_is_a_message_of_its_transaction_and_nothing_in_any_table(dsn: str) -> None:
    store = Postgres(dsn, schema="tableless", tableless=True)
    service = Service("t", ServiceSettings(), store=store, publishes=[Placed], brokers=[Kafka("127.0.0.1:1")])
    await store.provision()
    await store.open(service.origin)
    with pytest.raises(Unavailable, match="0 logical replication slots"):
        await store.check()
    await store.pool.execute("SELECT pg_create_logical_replication_slot('debezium', 'test_decoding')")
    await store.check()

    async with store.transaction(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01") as tx:
        event_id = tx.publish(Placed(order="it's o-17"))
    with pytest.raises(RuntimeError):
        await _publish_and_fail(store)
    rows = await store.fetch("SELECT data FROM pg_logical_slot_get_changes('debezium', NULL, NULL)")
    messages = [row["data"] for row in rows if row["data"].startswith("message:")]
    assert await store.pool.fetchval("SELECT count(*) FROM outbox_0") == 0
    assert service.relays() == {}
    await store.close()

    (message,) = messages
    head, _, content = message.partition(" content:")
    assert "transactional: 1 prefix: outbox" in head
    found = orjson.loads(content)
    assert (found["channel"], found["key"], orjson.loads(found["payload"])) == (
        "orders",
        "it's o-17",
        {"order": "it's o-17"},
    )
    assert found["headers"]["ce_id"] == str(event_id)
    assert found["headers"]["ce_type"] == "test.placed.v1"
    assert "0af7651916cd43dd8448eb211c80319c" in found["headers"]["traceparent"]


async def _publish_and_fail(store: Postgres) -> None:
    async with store.transaction() as tx:
        tx.publish(Placed(order="a ghost"))
        raise RuntimeError
