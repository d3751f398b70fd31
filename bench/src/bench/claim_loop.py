"""The loop that most outboxes are: claim rows with SKIP LOCKED, send each, delete them, commit; here at its best.

It claims thousands of rows at a time, hands all of them to an idempotent producer before it waits for any, deletes them
in one statement, and runs on uvloop.
"""

import asyncio
import os

import asyncpg
import uvloop
from aiokafka import AIOKafkaProducer

_CLAIM = """
SELECT seq, id::text, aggregateid, type, payload, ce_source, ce_time, ce_specversion, content_type
FROM outbox ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED
"""
_DELETE = "DELETE FROM outbox WHERE seq = ANY($1::bigint[])"


async def main() -> None:
    """Drain until killed."""
    environment = os.environ
    topic, claim = environment["BENCH_TOPIC"], int(environment["BENCH_CLAIM"])
    connection = await asyncpg.connect(
        environment["SOUK_POSTGRES_DSN"], server_settings={"search_path": environment["BENCH_SCHEMA"]}
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=environment["SOUK_KAFKA_BOOTSTRAP"],
        enable_idempotence=True,
        acks="all",
        max_batch_size=900_000,
        linger_ms=0,
    )
    await producer.start()
    while True:
        if not await _round(connection, producer, topic, claim):
            await asyncio.sleep(0.01)


async def _round(connection: asyncpg.Connection, producer: AIOKafkaProducer, topic: str, claim: int) -> int:
    async with connection.transaction():
        rows = await connection.fetch(_CLAIM, claim)
        if rows:
            futures = [await producer.send(topic, row[4], key=row[2].encode(), headers=_headers(row)) for row in rows]
            await asyncio.gather(*futures)
            await connection.execute(_DELETE, [row[0] for row in rows])
    return len(rows)


def _headers(row: asyncpg.Record) -> list[tuple[str, bytes]]:
    return [
        ("ce_specversion", row[7].encode()),
        ("ce_id", row[1].encode()),
        ("ce_type", row[3].encode()),
        ("ce_source", row[5].encode()),
        ("ce_time", row[6].encode()),
        ("content-type", row[8].encode()),
    ]


if __name__ == "__main__":
    uvloop.run(main())
