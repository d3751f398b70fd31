"""PostgreSQL as a store: state, outbox, marks, timers and parked records in one schema."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import asyncpg
import orjson

from corelib import stages
from corelib.addresses import Dsn, require
from corelib.clock import SystemClock
from corelib.errors import Collision, Conflict, Duplicate, Unavailable
from corelib.history import History
from corelib.message import Record
from corelib.operation import Operations
from corelib.outbox_log import AcknowledgedLog, OutboxLog
from corelib.part import Part
from corelib.postgres import operator_queries, queries, schema
from corelib.postgres.connection import Connection
from corelib.postgres.era import Eras
from corelib.postgres.history import PostgresHistory
from corelib.postgres.inbox import Inbox, InboxKeeper, is_mark, lacks_day, recall_mark
from corelib.postgres.log import PostgresLogTable
from corelib.postgres.log_queries import PLANNED_FOR_RELAYS
from corelib.postgres.operations import PostgresOperations
from corelib.postgres.parking import PostgresParking
from corelib.postgres.pool import Pool
from corelib.postgres.ring import Ring, RingTurner
from corelib.postgres.transaction import PostgresTransaction, write_events
from corelib.postgres.trouble import Asked, NotOurs, told_apart, translated
from corelib.store import Change, OutboxReader, ParkingLot, RelayState
from corelib.transaction import Mark, Origin
from corelib.wake import EventWake

_CHECK_SECONDS = 2.0
_RELAY_CONNECTIONS = 4


class Postgres:
    """One service's schema in a database.

    `migrations` are the service's own DDL statements, each idempotent; `provision` runs them behind corelib's. Events
    stay in the outbox for at least `keep`, to be replayed. `tableless` writes them into the write-ahead log only, for
    Debezium to read: no relay, no replay (docs/table-less.md).
    """

    name = "postgres"
    together = 32

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = "public",
        migrations: Sequence[str] = (),
        pool_size: int = 10,
        keep: timedelta = timedelta(days=1),
        tableless: bool = False,
    ) -> None:
        require(Dsn, "dsn", dsn)
        self.tableless = tableless
        self.keep = keep
        self._dsn = dsn
        self._schema = schema
        self._migrations = migrations
        self._pool = Pool(dsn, schema=schema, size=pool_size)
        # Relays have connections of their own: planned for their queries, and not to be had by busy handlers.
        self._relays = Pool(dsn, schema=schema, size=_RELAY_CONNECTIONS, least=0, settings=PLANNED_FOR_RELAYS)
        self._ring = Ring(self._pool)
        self._inbox = Inbox(self._pool)
        self._origin: Origin | None = None
        self._wakes: list[EventWake] = []
        self.parking: ParkingLot = PostgresParking(self._pool)
        self.operations: Operations = PostgresOperations(self._pool)

    @property
    def pool(self) -> asyncpg.Pool:
        """Return asyncpg's pool. Raises `Unavailable` before `open`; what it raises itself nobody translates."""
        return self._pool.raw

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Read rows outside of a transaction. Raises `Unavailable`."""
        async with self._asking() as connection:
            return await connection.fetch(query, *args)

    async def fetchrow(self, query: str, *args: Any) -> asyncpg.Record | None:
        """Read one row outside of a transaction. Raises `Unavailable`."""
        async with self._asking() as connection:
            return await connection.fetchrow(query, *args)

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[Connection]:
        """Lend a connection for a caller's statement."""
        try:
            async with self._pool.connection() as connection:
                asked = Asked(connection)
                with told_apart(asked), asked:
                    yield connection
        except NotOurs as callers:
            raise callers.error from callers.error.__cause__

    async def provision(self) -> None:
        """Create the schema, corelib's tables and the service's; idempotent, safe from several processes at once."""
        await self.migrate()
        async with self._apart() as connection, connection.transaction():
            await connection.execute(queries.LOCK_SCHEMA)
            await connection.execute(f'SET LOCAL search_path TO "{self._schema}"')
            for statement in self._migrations:
                await connection.execute(statement)

    async def migrate(self, *, dry_run: bool = False) -> Sequence[Change]:
        """Bring corelib's tables up to date; return what was done, or with `dry_run` what would be."""
        async with self._apart() as connection:
            changes = await (schema.pending if dry_run else schema.migrate)(connection, self._schema)
            if not changes:
                # A schema of a newer release lacks nothing, and may all the same be none for this one.
                await connection.execute(f'SET search_path TO "{self._schema}"')
                await schema.require(connection, self._schema)
        return changes

    @contextlib.asynccontextmanager
    async def _apart(self) -> AsyncIterator[asyncpg.Connection]:
        """Connect beside the pool, which wants the schema to exist."""
        with translated():
            connection = await asyncpg.connect(self._dsn, timeout=5)
            try:
                yield connection
            except asyncpg.InsufficientPrivilegeError as error:
                what = f"the role may not make or change tables ({error}): run it with the DSN of a role that owns"
                raise Unavailable(self.name, f"{what} schema {self._schema}, or may create it") from error
            finally:
                await connection.close()

    async def open(self, origin: Origin) -> None:
        """Connect. Raises `Unavailable`, also while the schema is not one that this release works with."""
        await self._pool.open()
        try:
            await self._relays.open()
            async with self._pool.connection() as connection:
                await schema.require(connection, self._schema)
            with contextlib.suppress(Conflict):  # another replica is at it, and what is missing is made when needed
                await self._inbox.make(origin.clock.now())
        except BaseException:
            await self.close()
            raise
        self._origin = origin

    async def close(self) -> None:
        """Give every connection back."""
        await self._relays.close()
        await self._pool.close()

    async def check(self) -> None:
        """Raise `Unavailable` unless the database would take a write now, into a schema that this release knows."""
        try:
            async with asyncio.timeout(_CHECK_SECONDS), self._pool.connection() as connection:
                read_only = await connection.fetchval(
                    "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool"
                )
                await schema.require(connection, self._schema)
                lacking = await connection.fetchval(queries.LACKING_RIGHTS)
                if self.tableless:
                    await self._require_reader(connection)
        except TimeoutError as error:
            raise Unavailable(self.name, f"no answer within {_CHECK_SECONDS:.0f} s") from error
        if read_only:
            raise Unavailable(self.name, "the database is read-only")
        if lacking:
            raise Unavailable(self.name, f"the role may not write to {lacking} in schema {self._schema}: grant it that")
        for pool in (self._pool, self._relays):
            pool.require_room()

    async def _require_reader(self, connection: asyncpg.Connection) -> None:
        level, slots = (await connection.fetch(queries.READERS_OF_MESSAGES))[0]
        if level != "logical" or not slots:
            what = f"wal_level is {level} and {slots} logical replication slots read this database"
            raise Unavailable(self.name, f"{what}: events would be lost, see docs/table-less.md")

    @contextlib.asynccontextmanager
    async def transaction(
        self, *, mark: Mark | None = None, traceparent: str | None = None
    ) -> AsyncIterator[PostgresTransaction]:
        """Open a unit of work: commits at the end of the block, rolls back on an exception."""
        origin = self._opened()
        try:
            async with self._pool.connection() as connection:
                async with connection.transaction():
                    ring = None if self.tableless else self._ring
                    asked = Asked(connection)
                    tx = PostgresTransaction(asked, origin, mark, traceparent, ring=ring)
                    try:
                        with told_apart(asked):
                            yield tx
                    finally:
                        tx.end()
                    await tx.commit()
                connection.require_sent()
        except NotOurs as handlers:
            raise handlers.error from handlers.error.__cause__
        except asyncpg.UniqueViolationError as error:
            if mark is not None and is_mark(error):
                _, remembered = await self.recall(mark)
                raise Duplicate(mark.scope, mark.id, remembered) from error
            raise Collision(f"postgres: {error}") from error
        except asyncpg.CheckViolationError as error:
            if not lacks_day(error):
                raise
            await self._inbox.make(*([mark.made] if mark and mark.made else []))
            raise Conflict("postgres: the inbox had no table of this day yet") from error
        if tx.outgoing:
            stages.committed(tx.outgoing[0].headers)
            self._announce()

    async def recall(self, mark: Mark) -> tuple[bool, bytes | None]:
        """Return whether a mark is committed, and what was remembered with it."""
        self._opened().require_remembered(mark)
        async with self._pool.connection() as connection:
            return await recall_mark(connection, mark)

    def outbox(self, relay: str, channels: frozenset[str]) -> OutboxReader:
        """Return a relay's reader over these channels."""
        return AcknowledgedLog(PostgresLogTable(self._relays, relay, channels), relay)

    def log(self, relay: str, channels: frozenset[str]) -> OutboxLog:
        """Return the outbox as a log, for a broker that is one: see `corelib.relay.log_relay`."""
        return OutboxLog(PostgresLogTable(self._relays, relay, channels), relay)

    async def relay_state(self, relay: str, channels: frozenset[str]) -> RelayState:
        """Return how a relay stands; the sign of life is the time to which its lease was renewed."""
        lag = await PostgresLogTable(self._pool, relay, channels).lag_seconds()
        row = await self.fetchrow(operator_queries.RELAY_STATE, relay)
        if row is None:
            return RelayState({}, lag, "")
        holders = {row["holder"]: str(row["lease_until"])} if row["holder"] else {}
        return RelayState(holders, lag, f"{row['tick_number']}/{row['tick_id']}")

    async def forget_relay(self, relay: str) -> bool:
        """Give up a relay's position, and what waits for it, so that the ring turns; False if none or at work."""
        return await self.fetchrow(operator_queries.FORGET_RELAY, relay) is not None

    def eras(self, relays: Mapping[str, frozenset[str]]) -> Eras:
        """Return what begins a new era of the outbox after a restore."""
        return Eras(self._pool, relays)

    def history(self, relay: str) -> History:
        """Return what a relay has delivered and the ring still keeps."""
        return PostgresHistory(self._pool, relay)

    def parts(self) -> list[Part]:
        """Return what keeps the store in order, to run beside the relays."""
        return [RingTurner(self._ring, self.keep), InboxKeeper(self._inbox, self._opened())]

    async def fire(self, limit: int) -> int:
        """Move due timers into the outbox in one transaction; return how many fired."""
        async with self._pool.connection() as connection, connection.transaction():
            rows = await connection.fetch(queries.FIRE_TIMERS, self._timers_now(), limit)
            records = [
                Record(channel, key, tuple(map(tuple, orjson.loads(headers))), payload)
                for row in sorted(rows, key=lambda row: (row["due"], row["id"]))
                for channel, key, headers, payload in zip(
                    row["channels"], row["keys"], row["headers"], row["payloads"], strict=True
                )
            ]
            if records:
                slot = None if self.tableless else await self._ring.slot(connection)
                # As they were written: the release that fires a timer may not know its channels.
                named = (zip(row["channels"], row["transports"] or (), strict=False) for row in rows)
                transports = {**self._opened().transports, **dict(chain.from_iterable(named))}
                await connection.execute(write_events(records, slot, transports))
        if rows:
            self._announce()
        return len(rows)

    async def overdue_seconds(self) -> float:
        """Return for how long the timer has been due that is due the longest, 0.0 where none is."""
        row = await self.fetchrow(operator_queries.OVERDUE, self._timers_now())
        return max(0.0, row["seconds"]) if row else 0.0

    def _timers_now(self) -> datetime | None:
        # Replicas' clocks differ and jump; the database has one. A clock that is no machine's is a test's.
        clock = self._opened().clock
        return None if isinstance(clock, SystemClock) else clock.now()

    def committed(self) -> EventWake:
        """Return a signal of its own for each caller: of two relays neither takes the other's."""
        wake = EventWake()
        self._wakes.append(wake)
        return wake

    def _opened(self) -> Origin:
        if self._origin is None:
            raise Unavailable(self.name, "not connected")
        return self._origin

    def _announce(self) -> None:
        for wake in self._wakes:
            wake.set()
