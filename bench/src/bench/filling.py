"""Outboxes full of one and the same events, for us and for our peers."""

from collections.abc import Iterator
from typing import Any

import asyncpg
from aiokafka.partitioner import murmur2

from bench.shop import SOLD, Sold, sold
from corelib.clock import SystemClock
from corelib.headers import pack
from corelib.ids import uuid7
from corelib.message import Envelope
from corelib.postgres.store import Postgres

_KEYS = 10_000
_PER_COMMIT = 1_000
SOURCE = "bench"

_TEMPLATE = """
CREATE UNLOGGED TABLE template (
    n bigint, id uuid, type text, source text, time text, hash int, key text, headers bytea, payload bytea
)
"""
_COLUMNS = ("n", "id", "type", "source", "time", "hash", "key", "headers", "payload")

PEER_OUTBOX = """
CREATE TABLE {schema}.outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id uuid NOT NULL, aggregatetype text NOT NULL,
    aggregateid text NOT NULL, type text NOT NULL, payload bytea NOT NULL,
    ce_source text NOT NULL, ce_time text NOT NULL, ce_specversion text NOT NULL, content_type text NOT NULL
)
"""
_FILL_PEER = """
INSERT INTO {schema}.outbox
    (id, aggregatetype, aggregateid, type, payload, ce_source, ce_time, ce_specversion, content_type)
SELECT id, '{topic}', key, type, payload, source, time, '1.0', 'application/json'
FROM template WHERE n >= start AND n < start + {step} ORDER BY n
"""
_FILL_OURS = """
INSERT INTO {schema}.outbox_0 (hash, channel, key, headers, payload, transport)
SELECT hash, '{topic}', key, headers, payload, 'kafka'
FROM template WHERE n >= start AND n < start + {step} ORDER BY n
"""
_IN_TRANSACTIONS = """
DO $$ DECLARE start bigint; BEGIN
    FOR start IN SELECT generate_series(0, {last}, {step}) LOOP
        {insert};
        COMMIT;
    END LOOP;
END $$
"""


async def make_template(connection: asyncpg.Connection, count: int) -> None:
    """Make `count` events, as the transactions of a service would have written them."""
    await connection.execute(_TEMPLATE)
    await connection.copy_records_to_table("template", records=_events(count), columns=_COLUMNS, timeout=600)
    await connection.execute("CREATE INDEX ON template (n)")
    await connection.execute("VACUUM ANALYZE template")


def _events(count: int) -> Iterator[tuple[Any, ...]]:
    clock = SystemClock()
    for n in range(count):
        event = sold(f"order-{n % _KEYS:05}", n)
        now = clock.now()
        envelope = Envelope(uuid7(), Sold.type, SOURCE, now, event.key)
        record = envelope.record(SOLD.name, event.model_dump_json().encode())
        hashed = murmur2(event.key.encode()) & 0x7FFF_FFFF
        common = (n, envelope.id, envelope.type, envelope.source, now.isoformat(), hashed)
        yield (*common, event.key, pack(record.headers), record.payload)


async def fill_ours(connection: asyncpg.Connection, dsn: str, schema: str, count: int, *, copies: int = 1) -> None:
    """Provision a schema and write the events into its outbox, a thousand a transaction, so many times over."""
    await Postgres(dsn, schema=schema).provision()
    for _ in range(copies):
        await _fill(connection, _FILL_OURS, schema, SOLD.name, count)


async def fill_peer(connection: asyncpg.Connection, schema: str, count: int) -> None:
    """Write the events into a peer's outbox, a thousand a transaction."""
    await _fill(connection, _FILL_PEER, schema, SOLD.name, count)


async def make_peer(connection: asyncpg.Connection, schema: str) -> None:
    """Make the outbox that both peers read."""
    await connection.execute(f"CREATE SCHEMA {schema}")
    await connection.execute(PEER_OUTBOX.format(schema=schema))


async def _fill(connection: asyncpg.Connection, insert: str, schema: str, topic: str, count: int) -> None:
    statement = insert.format(schema=schema, topic=topic, step=_PER_COMMIT)
    await connection.execute(_IN_TRANSACTIONS.format(insert=statement, last=count - 1, step=_PER_COMMIT), timeout=600)
    await connection.execute("CHECKPOINT", timeout=600)  # or the disk would work it off during the measurement
