"""The store on DynamoDB: one system table per service beside the service's own tables."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from botocore.exceptions import ClientError

from corelib import stages
from corelib.aws.clients import Aws
from corelib.aws.trouble import code_of
from corelib.documents import Catalog, Table
from corelib.dynamo.client import Client
from corelib.dynamo.commit import Committer
from corelib.dynamo.documents import Documents
from corelib.dynamo.history import DynamoHistory
from corelib.dynamo.items import value_of
from corelib.dynamo.layout import key_of, mark_key, microseconds
from corelib.dynamo.listeners import Listeners
from corelib.dynamo.operations import DynamoOperations
from corelib.dynamo.outbox import Outbox, oldest_waiting
from corelib.dynamo.pace import UNAIDED_SECONDS, Pace
from corelib.dynamo.parking import Parking
from corelib.dynamo.shares import LEASE_SECONDS, Shares, roll_of
from corelib.dynamo.streams import StreamTail
from corelib.dynamo.tables import messaging, missing, provision
from corelib.dynamo.timers import Agenda, DueTimers, TimerItems
from corelib.dynamo.transaction import DynamoTransaction, Recent
from corelib.errors import Conflict, Duplicate, Unavailable
from corelib.history import History
from corelib.operation import Operations
from corelib.part import Part
from corelib.store import Change, ParkingLot, RelayState
from corelib.transaction import Mark, Origin
from corelib.wake import EventWake


class Dynamo(Documents):
    """Holds a service's state, outbox, inbox, timers and parked records. Implements `Store`.

    With `streams` relays and timers hear by DynamoDB Streams what other replicas commit; without, they look for it each
    `sweep_seconds`. A relay that says nothing for `lease_seconds` is taken for dead.
    """

    name = "dynamodb"
    together = 1
    max_event_bytes = 350_000
    """An item of the outbox has 400 KB: as much is left for its keys and names."""

    def __init__(
        self,
        service: str,
        aws: Aws,
        *,
        tables: Sequence[Table] = (),
        streams: bool = True,
        sweep_seconds: float = UNAIDED_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        super().__init__(Client(aws), Catalog(aws.prefix, tables))
        self.aws = aws
        self._streams = streams
        self._lease_seconds = lease_seconds
        self._system = messaging(service, stream=streams)
        table = f"{aws.prefix}{self._system.name}"
        self._table = table
        self._pace = Pace(sweep_seconds)
        agenda = Agenda(self._pace)
        self._listeners = Listeners(agenda, self._pace)
        self._committer = Committer(self._client, table, self._listeners.committed)
        self._timers = TimerItems(table, agenda)
        self._recent = Recent()
        self._due = DueTimers(self._client, table, self._committer, agenda)
        self.operations: Operations = DynamoOperations(self._client, table)
        self.parking: ParkingLot = Parking(self._client, table, lambda: self._origin.clock)
        self._opened: Origin | None = None

    @property
    def tables(self) -> Sequence[Table]:
        """Every table the service needs: its own, and corelib's beside them."""
        return (self._system, *self._catalog.tables.values())

    async def provision(self) -> None:
        """Create or upgrade the system table and the declared ones; idempotent."""
        for table in self.tables:
            await provision(self._client, table)

    async def migrate(self, *, dry_run: bool = False) -> Sequence[Change]:
        """Create the system table, or add what it lacks; return what was done, or with `dry_run` what would be."""
        changes = await missing(self._client, self._system)
        if changes and not dry_run:
            await provision(self._client, self._system)
        return changes

    async def lacking(self) -> Sequence[Change]:
        """Return what the service's own tables lack, which are not corelib's to migrate."""
        return [change for table in self._catalog.tables.values() for change in await missing(self._client, table)]

    async def open(self, origin: Origin) -> None:
        """Connect. Raises `Unavailable`."""
        await self.aws.open()
        self._opened = origin
        try:
            await self.check()
        except Unavailable:
            await self.aws.close()
            raise

    async def close(self) -> None:
        """Give every connection back."""
        await self.aws.close()

    async def check(self) -> None:
        """Raise `Unavailable` unless the table answers, and nothing was lately refused for want of a right."""
        try:
            await self._client.call("GetItem", TableName=self._table, Key=key_of("check", sort="check"))
        except ClientError as error:
            raise Unavailable("dynamodb", str(error)) from error
        except Unavailable as error:
            if isinstance(error.__cause__, ClientError) and code_of(error.__cause__) == "ResourceNotFoundException":
                what = f"table {self._table} does not exist: run `corelib outbox migrate`"
                raise Unavailable("dynamodb", what) from error
            raise
        self._client.refusals.require_none()

    @asynccontextmanager
    async def transaction(
        self, *, mark: Mark | None = None, traceparent: str | None = None
    ) -> AsyncIterator[DynamoTransaction]:
        """Open a unit of work: commits at the end of the block, forgets everything on an exception.

        Raises `Duplicate` at commit when the mark exists, `Conflict` when it should be run again.
        """
        unit = DynamoTransaction(
            self._origin,
            mark,
            traceparent,
            documents=self,
            catalog=self._catalog,
            committer=self._committer,
            timers=self._timers,
            recent=self._recent,
        )
        try:
            try:
                yield unit
            finally:
                unit.end()
            await unit.commit()
        except Exception as error:
            unit.distrust()
            if not unit.trusting or isinstance(error, Conflict | Duplicate | Unavailable):
                raise
            raise Conflict("what this process remembered may have misled it: again, with fresh reads") from error
        if unit.outgoing:
            stages.committed(unit.outgoing[0].headers)

    async def recall(self, mark: Mark) -> tuple[bool, bytes | None]:
        """Return whether a mark is committed, and what was remembered with it. Raises `Forgotten`."""
        self._origin.require_remembered(mark)
        key = mark_key(mark.scope, mark.id)
        answer = await self._client.call("GetItem", TableName=self._table, Key=key, ConsistentRead=True)
        item = answer.get("Item")
        if item is None:
            return False, None
        return True, value_of(item["remembered"]) if "remembered" in item else None

    def outbox(self, relay: str, channels: frozenset[str]) -> Outbox:
        """Return a relay's reader over these channels; `relay` names what its replicas share."""
        shares = Shares(self._client, self._table, relay, lease_seconds=self._lease_seconds)
        clock, writer = self._origin.clock, self._committer.writer
        outbox = Outbox(self._client, self._table, shares, channels, clock, writer=writer, pace=self._pace)
        self._listeners.outboxes.append(outbox)
        return outbox

    async def relay_state(self, relay: str, channels: frozenset[str]) -> RelayState:
        """Return how a relay stands; the sign of life is the beat of each that has a share."""
        oldest = await oldest_waiting(self._client, self._table, channels)
        beats = (await roll_of(self._client, self._table, relay)).beats
        lag = 0.0 if oldest is None else max(0.0, (microseconds(self._origin.clock.now()) - oldest) / 1_000_000)
        return RelayState({holder: str(beat) for holder, beat in beats.items()}, lag, str(oldest))

    def history(self, relay: str) -> History:  # noqa: ARG002 -- the table knows what is delivered, whoever did it
        """Return what was delivered and has not expired."""
        return DynamoHistory(self._client, self._table)

    def parts(self) -> list[Part]:
        """Return what runs beside the relays."""
        if not self._streams or not self._listeners.outboxes:
            return []
        return [StreamTail(self._client, self._table, self._listeners)]

    async def fire(self, limit: int) -> int:
        """Move due timers into the outbox, each atomically; return how many fired."""
        return await self._due.fire(limit, self._origin.clock)

    async def overdue_seconds(self) -> float:
        """Return for how long the timer has been due that is due the longest, 0.0 where none is."""
        return await self._due.overdue_seconds(self._origin.clock)

    def committed(self) -> EventWake:
        """Return a signal that a transaction with events has committed."""
        return self._listeners.wake()

    @property
    def _origin(self) -> Origin:
        if self._opened is None:
            raise Unavailable("dynamodb", "the store is not open")
        return self._opened
