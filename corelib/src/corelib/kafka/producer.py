"""A producer that numbers what it sends, so that nothing comes twice, and waits for every replica that is in sync."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from corelib.errors import Unavailable
from corelib.kafka.batches import LARGEST_BYTES
from corelib.kafka.cluster import Cluster, reason_of
from corelib.kafka.ending import end


@asynccontextmanager
async def starting(
    cluster: Cluster, *, seconds: float, batches: int, transactional_id: str | None = None
) -> AsyncIterator[AIOKafkaProducer]:
    """Start a producer, which is the caller's to end unless the block fails; a request takes so many batches.

    Raises `Unavailable`, also if start and block together take longer than so many seconds.
    """
    producer = AIOKafkaProducer(
        **cluster.options,
        transactional_id=transactional_id,
        enable_idempotence=True,
        acks="all",
        max_batch_size=LARGEST_BYTES,
        max_request_size=batches * LARGEST_BYTES,
        linger_ms=0,
        request_timeout_ms=int(seconds * 1_000),
        retry_backoff_ms=50,
    )
    try:
        async with asyncio.timeout(seconds):
            await producer.start()
            yield producer
    except (KafkaError, TimeoutError, OSError) as error:
        await end(producer)
        raise Unavailable("kafka", f"{reason_of(error)}{await cluster.why()}") from error
    except BaseException:
        await end(producer)
        raise
