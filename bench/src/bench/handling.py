"""The service that handles what the bench publishes; at its end it writes down when each effect was committed."""

import contextlib
import json
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.shop import BenchSettings, Sold
from corelib.actor import Actor, receive
from corelib.config import load
from corelib.kafka.broker import Kafka
from corelib.main import serve
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.service import Service

TABLE = "CREATE TABLE IF NOT EXISTS handled (order_id text NOT NULL, number bigint NOT NULL)"


class TimedPostgres(Postgres):
    """Notes when a transaction that handled events was committed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.numbers: defaultdict[int, list[int]] = defaultdict(list)
        self.done: dict[int, int] = {}

    @contextlib.asynccontextmanager
    async def transaction(self, **kwargs: Any) -> AsyncIterator[PostgresTransaction]:
        """Open a unit of work."""
        async with super().transaction(**kwargs) as tx:
            yield tx
        now = time.monotonic_ns()
        self.done.update((number, now) for number in self.numbers.pop(id(tx), ()))


@dataclass(frozen=True)
class Bookkeeper(Actor):
    """Writes down what was sold."""

    numbers: defaultdict[int, list[int]]

    @receive
    async def sold(self, event: Sold, tx: PostgresTransaction) -> None:
        """Write one down."""
        await tx.execute("INSERT INTO handled VALUES ($1, $2)", event.order_id, event.number)
        self.numbers[id(tx)].append(event.number)


def main() -> None:
    """Handle until told to stop."""
    settings = load(BenchSettings)
    store = TimedPostgres(settings.postgres_dsn, schema="handling", migrations=(TABLE,))
    service = Service(
        "handling",
        settings,
        store=store,
        actors=[Bookkeeper(store.numbers)],
        brokers=[Kafka(settings.kafka(), prefix=settings.kafka_prefix)],
    )
    try:
        serve(service)
    finally:
        Path(os.environ["BENCH_DONE"]).write_text(json.dumps(store.done))


if __name__ == "__main__":
    main()
