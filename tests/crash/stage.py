"""Real servers, real processes, and cables between them: everything that can be killed, paused or cut off."""

import asyncio
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer

from corelib.config import ServiceSettings
from corelib.kafka.broker import Kafka
from corelib.message import Envelope, Record, parse
from crash.app import CHANNELS, OF_EACH, SCHEMA, Entered, EntryChimed, build
from crash.ledger import Entry, Facts, Told, read_journal
from devstack.cable import Cable
from devstack.part import Part
from devstack.parts import Server, kafka_server, postgres_server
from devstack.process import Process, start
from devstack.settings import free_ports

ROLES = ("writer-1", "writer-2", "relay-1", "relay-2", "consumer-1", "consumer-2")
EVENTS: dict[str, type[Entered]] = {kind.type: kind for kind in (*OF_EACH, EntryChimed)}
_POLL_SECONDS = 0.2
_STALLED_SECONDS = 60.0
_AT_WORK = 100
# One of each chain per entry, and one per timer.
_EXPECTED = f"SELECT {len(OF_EACH)} * count(*) + count(*) FILTER (WHERE chimes) FROM entry"
_TESTS = Path(__file__).parents[1]


@dataclass
class Servers:
    """A PostgreSQL and a Kafka of our own; each role reaches Kafka through a door of its own, which has a cable."""

    postgres: Server
    kafka: Server
    dsn: str
    bootstrap: str
    doors: Mapping[str, Cable]

    def named(self, name: str) -> Server:
        """Return the server of this name."""
        return {"postgres": self.postgres, "kafka": self.kafka}[name]


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Servers]:
    """Start both, for any number of runs."""
    ports = free_ports(2 * len(ROLES))
    inside, outside = ports[::2], ports[1::2]
    kafka = kafka_server(folder / "kafka", doors=dict(zip(inside, outside, strict=True)))
    postgres = postgres_server(folder / "postgres")
    doors = {
        role: Cable(f"tcp://127.0.0.1:{near}", port=far) for role, near, far in zip(ROLES, inside, outside, strict=True)
    }
    async with AsyncExitStack() as stack:
        dsn, bootstrap = await stack.enter_async_context(postgres), await stack.enter_async_context(kafka)
        for door in doors.values():
            await stack.enter_async_context(door)
        yield Servers(postgres, kafka, dsn, bootstrap, doors)


@dataclass
class Player:
    """A process with its two cables."""

    part: Part
    log: Path
    store: Cable
    kafka: Cable
    process: Process | None = None

    def launch(self) -> None:
        """Start it."""
        self.process = start(self.part, self.log)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self.process is not None:
            self.process.send(number)

    async def kill(self) -> None:
        """Kill it, and see it gone."""
        if self.process is not None:
            await self.process.crash()
            self.process = None

    @property
    def died(self) -> bool:
        """Tell whether it ended without having been killed by us."""
        return self.process is not None and not self.process.alive()


@dataclass
class Stage(ABC):
    """One run: a store and topics that nobody else uses, and its players."""

    app: ClassVar[str]
    writer: ClassVar[str]

    servers: Servers
    prefix: str
    folder: Path
    players: dict[str, Player] = field(default_factory=dict)

    @abstractmethod
    def environment(self, address: str) -> dict[str, str]:
        """Return what tells a player of its store, at this address."""

    @abstractmethod
    async def effects(self) -> int:
        """Return how many effects there are."""

    @abstractmethod
    async def expected(self) -> int:
        """Return how many there shall be, of what is committed."""

    @abstractmethod
    async def facts(self) -> Facts:
        """Return what happened."""

    def of(self, kind: str) -> list[Player]:
        """Return the players of one kind."""
        return [player for name, player in self.players.items() if name.startswith(kind)]

    async def at_the_end(self) -> Facts:
        """Stop the writers, wait until all effects are there or no more come, and return what happened."""
        for writer in self.of("writer"):
            await writer.kill()
        loop = asyncio.get_running_loop()
        seen, since = -1, loop.time()
        while (now := await self.effects()) < await self.expected():
            if now != seen:
                seen, since = now, loop.time()
            if loop.time() - since > _STALLED_SECONDS:
                break
            await asyncio.sleep(_POLL_SECONDS)
        return await self.facts()

    async def has_begun(self) -> None:
        """Wait until everything is at work."""
        async with asyncio.timeout(60.0):
            while await self.effects() < _AT_WORK:  # noqa: ASYNC110 -- a database has no event to wait for
                await asyncio.sleep(_POLL_SECONDS)

    @asynccontextmanager
    async def playing(self, address: str, seed: str) -> AsyncIterator[None]:
        """Start every player, each with a cable of its own to the store at this address; kill all at the end."""
        async with AsyncExitStack() as cables:
            for role in ROLES:
                cable = await cables.enter_async_context(Cable(address))
                await self.servers.doors[role].plug()
                self.players[role] = self._player(role, cable, seed)
            try:
                for player in self.players.values():
                    player.launch()
                yield
            finally:
                for player in self.players.values():
                    await player.kill()

    def _player(self, role: str, store: Cable, seed: str) -> Player:
        kafka = self.servers.doors[role]
        kind = role.partition("-")[0]
        module, *arguments = (
            (self.writer, str(self.folder / f"{role}.journal"), f"{seed}/{role}")
            if kind == "writer"
            else (self.app, "--only", f"{kind},timers" if kind == "relay" else kind)
        )
        environment = {
            **self.environment(store.address),
            "SOUK_KAFKA_BOOTSTRAP": kafka.address.removeprefix("tcp://"),
            "SOUK_KAFKA_PREFIX": self.prefix,
            "SOUK_PORT": "0",
            "SOUK_LOG_FORMAT": "text",
            "PYTHONPATH": os.pathsep.join((str(_TESTS), os.environ.get("PYTHONPATH", ""))),
        }
        part = Part(role, (sys.executable, "-m", module, *arguments), env=environment)
        return Player(part, self.folder / f"{role}.log", store, kafka)


@dataclass
class PostgresStage(Stage):
    """A run on a database of its own."""

    app: ClassVar[str] = "crash.app"
    writer: ClassVar[str] = "crash.writer"
    dsn: str = ""

    def environment(self, address: str) -> dict[str, str]:
        """Return what tells a player of its store."""
        return {"SOUK_POSTGRES_DSN": address}

    async def effects(self) -> int:
        """Return how many effects there are."""
        return await self.fetchval("SELECT count(*) FROM effect")

    async def expected(self) -> int:
        """Return how many there shall be, of what is committed."""
        return await self.fetchval(_EXPECTED)

    async def facts(self) -> Facts:
        """Return what happened."""
        entries = await self.fetch("SELECT id, account, number, chimes FROM entry")
        effects = await self.fetch("SELECT kind, account, number FROM effect ORDER BY n")
        parked = await self.fetch("SELECT handler, key, reason FROM parked")
        return Facts(
            journal=read_journal(self.folder.glob("*.journal")),
            entries=[Entry(*row) for row in entries],
            effects=[Told(*row) for row in effects],
            records=await records(self.servers.bootstrap, self.prefix),
            parked=[f"{row['handler']} {row['key']}: {row['reason']}" for row in parked],
        )

    async def fetch(self, query: str) -> list[asyncpg.Record]:
        """Ask the database past all cables."""
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": SCHEMA}, timeout=5)
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    async def until(self, query: str, number: int, *, deadline_seconds: float = 60.0) -> None:
        """Wait until a query's number is reached; raise `TimeoutError`."""
        async with asyncio.timeout(deadline_seconds):
            while await self.fetchval(query) < number:  # noqa: ASYNC110 -- a database has no event to wait for
                await asyncio.sleep(_POLL_SECONDS)

    async def fetchval(self, query: str) -> int:
        """Ask the database for a number."""
        ((number,),) = await self.fetch(query)
        return int(number)


@asynccontextmanager
async def stage(given: Servers, folder: Path, seed: str) -> AsyncIterator[PostgresStage]:
    """Set the stage: a fresh database, topics, and every player started."""
    name = f"crash{uuid4().hex[:8]}"
    connection = await asyncpg.connect(given.dsn)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    run = PostgresStage(given, f"{name}-", folder, dsn=f"{given.dsn.rpartition('/')[0]}/{name}")
    await build(
        ServiceSettings(postgres_dsn=run.dsn, kafka_bootstrap=given.bootstrap, kafka_prefix=run.prefix)
    ).provision()
    async with run.playing(run.dsn, seed):
        yield run


async def records(bootstrap: str, prefix: str) -> list[Told]:
    """Return what a `read_committed` consumer of its own sees on all topics, per partition in order."""
    kafka = Kafka(bootstrap, prefix=prefix)
    topics = {kafka.topic(channel.name): channel.name for channel in CHANNELS}
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        places = sorted(consumer.assignment())
        ends = await consumer.end_offsets(places)
        found: list[Told] = []
        async with asyncio.timeout(60):
            while [place for place in places if await consumer.position(place) < ends[place]]:
                for place, messages in (await consumer.getmany(timeout_ms=200)).items():
                    found += [_told(topics[place.topic], message) for message in messages]
    finally:
        await consumer.stop()
    return found


def _told(channel: str, message: object) -> Told:
    headers = tuple((name, value.decode()) for name, value in message.headers)  # type: ignore[attr-defined]
    record = Record(channel, message.key.decode(), headers, message.value)  # type: ignore[attr-defined]
    envelope = Envelope.of(record)
    event = parse(record, EVENTS[envelope.type])
    return Told(envelope.type, event.account, event.number)
