"""How a client of Kafka is stopped whose broker may be away: in good order if that can be, else it is cut off."""

import asyncio
from itertools import chain
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError

STOP_SECONDS = 5.0
_CUT_OFF_SECONDS = 1.0
_TASKS = (
    "_coordination_task", "_heartbeat_task", "_commit_refresh_task", "_reset_committed_task", "_fetch_task",
    "_sender_task",
)  # fmt: skip

log = structlog.get_logger(__name__)


async def end(client: AIOKafkaConsumer | AIOKafkaProducer, *, seconds: float = STOP_SECONDS) -> None:
    """Stop a client; what still waits for a broker after so many seconds, or at a cancellation, is cut off.

    aiokafka's own stop waits for brokers without a deadline, and where it is cancelled, or fails of what went wrong
    before, it leaves tasks that try for ever. Nothing of the client's is left behind this.
    """
    stopping = asyncio.create_task(client.stop())
    try:
        await asyncio.wait({stopping}, timeout=seconds)
    finally:
        if not stopping.done():
            log.warning("a client of Kafka is cut off, as no broker answers", seconds=seconds)
        if not stopping.done() or stopping.cancelled() or stopping.exception():
            await _cut_off(client, stopping)


async def _cut_off(client: AIOKafkaConsumer | AIOKafkaProducer, stopping: asyncio.Task[None]) -> None:
    """Let the client's own stop come to its end, as what it asks of a broker fails at once; then end what is left."""
    connections = _connections(client)
    connections._get_conn = _no_connection  # noqa: SLF001 -- no other way, nor below
    connections.force_metadata_update = _no_metadata
    closing = asyncio.create_task(connections.close())
    if isinstance(client, AIOKafkaProducer):
        _fail_batches(client)
    await asyncio.wait({stopping, closing}, timeout=_CUT_OFF_SECONDS)
    left = {stopping, closing, *_tasks(client)}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    if (transaction := getattr(client, "_txn_manager", None)) is not None:
        _heard(transaction.wait_for_transaction_end())


def _fail_batches(producer: AIOKafkaProducer) -> None:
    """Tell whoever still waits that their records are not sent; where nobody does, that is nobody's error."""
    accumulator = producer._message_accumulator  # noqa: SLF001
    batches = [*accumulator._pending_batches, *chain.from_iterable(accumulator._batches.values())]  # noqa: SLF001
    accumulator.fail_all(KafkaConnectionError("cut off"))
    for batch in batches:
        _heard(batch.future)
        _heard(batch._drain_waiter)  # noqa: SLF001


def _connections(client: AIOKafkaConsumer | AIOKafkaProducer) -> AIOKafkaClient:
    return client._client if isinstance(client, AIOKafkaConsumer) else client.client  # noqa: SLF001


def _tasks(client: AIOKafkaConsumer | AIOKafkaProducer) -> list[asyncio.Task[None]]:
    """Return what a client has running in the background."""
    owners = [getattr(client, name, None) for name in ("_coordinator", "_fetcher", "_sender")]
    tasks = [getattr(owner, name, None) for owner in owners for name in _TASKS]
    return [task for task in (*tasks, *getattr(owners[1], "_pending_tasks", ())) if task is not None]


async def _no_connection(*_: object, **__: object) -> None:
    return None


def _no_metadata() -> asyncio.Future[bool]:
    failed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    failed.set_exception(KafkaConnectionError("cut off"))
    _heard(failed)
    return failed


def _heard(future: asyncio.Future[Any] | None) -> None:
    """Keep asyncio from telling that nobody asked what a future failed of: here nobody has to."""
    if future is not None and future.done() and not future.cancelled():
        future.exception()
