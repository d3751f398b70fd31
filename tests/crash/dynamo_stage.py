"""The stage on DynamoDB. An emulator that forgets cannot be killed: it is cut off, or answers nobody for a while."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

from corelib.clock import SystemClock
from corelib.config import ServiceSettings
from corelib.dynamo.store import Dynamo
from corelib.transaction import Origin
from crash.app import OF_EACH
from crash.dynamo_app import EFFECTS, ENTRIES, build, store_of
from crash.ledger import Entry, Facts, Told, read_journal
from crash.stage import Servers, Stage, records


@dataclass
class DynamoStage(Stage):
    """A run on tables of its own; `store` reaches them past all cables."""

    app: ClassVar[str] = "crash.dynamo_app"
    writer: ClassVar[str] = "crash.dynamo_writer"
    store: Dynamo = field(kw_only=True)

    def environment(self, address: str) -> dict[str, str]:
        """Return what tells a player of its store."""
        return {"SOUK_AWS_ENDPOINT_URL": address, "SOUK_AWS_PREFIX": self.prefix}

    async def effects(self) -> int:
        """Return how many effects there are."""
        return len(await self._told())

    async def expected(self) -> int:
        """Return how many there shall be: one of each chain per entry, and one per timer."""
        return sum(len(OF_EACH) + entry.chimes for entry in await self._entries())

    async def facts(self) -> Facts:
        """Return what happened."""
        return Facts(
            journal=read_journal(self.folder.glob("*.journal")),
            entries=await self._entries(),
            effects=await self._told(),
            # From DynamoDB an event reaches a topic at least once: it must be there, and first in its place.
            records=list(dict.fromkeys(await records(self.servers.bootstrap, self.prefix))),
            parked=[f"{each.handler} {each.record.key}: {each.reason}" for each in await self.store.parking.list()],
        )

    async def _entries(self) -> list[Entry]:
        found = self.store.scan(ENTRIES)
        return [Entry(item["id"], item["account"], item["number"], item["chimes"]) async for item in found]

    async def _told(self) -> list[Told]:
        lanes = [item async for item in self.store.scan(EFFECTS)]
        return [Told(lane["kind"], lane["account"], number) for lane in lanes for number in lane["numbers"]]


@asynccontextmanager
async def dynamo_stage(given: Servers, endpoint: str, folder: Path, seed: str) -> AsyncIterator[DynamoStage]:
    """Set the stage: fresh tables, topics, and every player started."""
    prefix = f"crash{uuid4().hex[:8]}-"
    settings = ServiceSettings(
        aws_endpoint_url=endpoint, aws_prefix=prefix, kafka_bootstrap=given.bootstrap, kafka_prefix=prefix
    )
    await build(settings).provision()
    store = store_of(settings)
    await store.open(Origin("crash", SystemClock(), frozenset()))
    try:
        run = DynamoStage(given, prefix, folder, store=store)
        async with run.playing(endpoint, seed):
            yield run
    finally:
        await store.close()
