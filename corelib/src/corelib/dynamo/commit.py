"""The one TransactWriteItems of a transaction: the service's writes, its mark, and its events in sequence.

A stream's next sequence stands in its head item. The committer guesses it (0 for a stream it has not seen) and makes
the guess a condition, so the usual commit reads nothing; a wrong guess is answered with the right one and tried again.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

from corelib.aws.clients import backoff
from corelib.aws.trouble import code_of
from corelib.clock import Clock
from corelib.dynamo.client import Client
from corelib.dynamo.items import Attribute, attribute, value_of
from corelib.dynamo.layout import Entry, Stream, head_key, mark_key, microseconds, pending_item
from corelib.errors import Collision, Conflict, Duplicate, TooLarge, Unavailable
from corelib.message import Record
from corelib.transaction import Mark

MAX_ITEMS = 100
_MAX_BYTES = 4_000_000
_ATTEMPTS = 10
_KNOWN_STREAMS = 100_000
_FAILED = "ConditionalCheckFailed"
RACED = frozenset({_FAILED, "TransactionConflict", "DuplicateItem"})
_INVALID = frozenset({"ValidationException", "ValidationError"})
THROTTLED = frozenset({"ThrottlingError", "ProvisionedThroughputExceeded"})


@dataclass(frozen=True)
class Unit:
    """What one transaction commits."""

    writes: Sequence[Attribute]
    records: Sequence[Record] = ()
    mark: Mark | None = None
    mark_expires: datetime | None = None
    remembered: bytes | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What comes next in a stream, and when its last entry was committed, in microseconds."""

    following: int = 0
    committed: int = 0


_NEW = Known()


class Sequences:
    """What this process knows of the streams used last."""

    def __init__(self, size: int = _KNOWN_STREAMS) -> None:
        self._size = size
        self._known: OrderedDict[Stream, Known] = OrderedDict()

    def get(self, stream: Stream) -> Known:
        """Return what is known; that a stream is new where nothing is, as most streams are."""
        return self._known.get(stream, _NEW)

    def learn(self, stream: Stream, known: Known) -> None:
        """Remember it; forget the stream that was used longest ago."""
        self._known[stream] = known
        self._known.move_to_end(stream)
        if len(self._known) > self._size:
            self._known.popitem(last=False)


class Committer:
    """Commits units and tells whoever wants to know of the entries."""

    def __init__(self, client: Client, table: str, announce: Callable[[Sequence[Entry]], None]) -> None:
        self._client = client
        self._table = table
        self._announce = announce
        self._sequences = Sequences()
        self.writer = uuid4().hex[:8]

    async def commit(self, unit: Unit, clock: Clock) -> None:
        """Write everything or nothing. Raises `Duplicate`, `Conflict`, `TooLarge` or `Unavailable`."""
        if unit.mark is not None and not unit.writes and not unit.records:
            await self._write_mark(unit, unit.mark)
            return
        if (size := sum(len(record.payload) for record in unit.records)) > _MAX_BYTES:
            raise TooLarge(f"{size} bytes of events in a transaction; DynamoDB takes 4 MB")
        fixed = [*self._mark(unit), *unit.writes]
        for attempt in range(_ATTEMPTS):
            entries = self._number(unit.records, microseconds(clock.now()))
            heads = {entry.stream: entry.sequence for entry in reversed(entries)}
            operations = [*fixed, *self._heads(heads, entries), *(self._entry(entry) for entry in entries)]
            if not operations:
                return
            if len(operations) > MAX_ITEMS:
                raise TooLarge(f"{len(operations)} items in a transaction; DynamoDB takes {MAX_ITEMS}")
            if await self._write(unit, operations, list(heads), len(fixed)):
                for entry in entries:
                    self._sequences.learn(entry.stream, Known(entry.sequence + 1, entry.committed))
                if entries:
                    self._announce(entries)
                return
            await backoff(min(attempt, 3))
        raise Conflict(f"other transactions kept publishing to {sorted(heads)}")

    async def _write_mark(self, unit: Unit, mark: Mark) -> None:
        """Write a mark that has no company: half the price of a transaction.

        Where the answer is lost, the repetition finds our own mark: then the work counts as done before, and it was.
        """
        (put,) = self._mark(unit)[0].values()
        try:
            await self._client.call("PutItem", **put)
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            answer: dict[str, Any] = dict(error.response)
            raise _duplicate(mark, answer.get("Item")) from error

    async def _write(self, unit: Unit, operations: list[Attribute], streams: list[Stream], first_head: int) -> bool:
        """Return whether it was written; False when only a guess was wrong, and now is better."""
        try:
            # The client repeats a lost answer with the same token, so an uncertain commit is not doubled.
            await self._client.call("TransactWriteItems", TransactItems=operations, ClientRequestToken=str(uuid4()))
        except ClientError as error:
            if code_of(error) != "TransactionCanceledException":
                _raise_if_too_large(error, code_of(error), error.response["Error"]["Message"])
                raise
            reasons: list[dict[str, Any]] = [dict(reason) for reason in error.response["CancellationReasons"]]
            _raise_for(error, reasons, unit, operations[:first_head])
            for stream, reason in zip(streams, reasons[first_head:], strict=False):
                if reason["Code"] == _FAILED:
                    self._sequences.learn(stream, _known(reason.get("Item", {})))
            return False
        return True

    def _number(self, records: Sequence[Record], now: int) -> list[Entry]:
        """Number the records; their times are unlike and rise in a stream, whoever's clock they are by."""
        known: dict[Stream, Known] = {}
        entries = []
        for time, record in enumerate(records, now):
            stream = (record.channel, record.key)
            last = known.get(stream) or self._sequences.get(stream)
            entry = Entry(record, last.following, max(time, last.committed + 1), self.writer)
            entries.append(entry)
            known[stream] = Known(entry.sequence + 1, entry.committed)
        return entries

    def _mark(self, unit: Unit) -> list[Attribute]:
        if unit.mark is None:
            return []
        item = mark_key(unit.mark.scope, unit.mark.id)
        if unit.mark_expires is not None:
            item["expires_at"] = attribute(int(unit.mark_expires.timestamp()))
        if unit.remembered is not None:
            item["remembered"] = attribute(unit.remembered)
        return [self._new(item, "ALL_OLD")]

    def _heads(self, heads: dict[Stream, int], entries: list[Entry]) -> list[Attribute]:
        last = {entry.stream: entry for entry in entries}
        return [self._head(last[stream], guess) for stream, guess in heads.items()]

    def _head(self, last: Entry, guess: int) -> Attribute:
        item = {
            **head_key(last.stream),
            "next": attribute(last.sequence + 1),
            "committed": attribute(last.committed),
        }
        if guess == 0:
            return self._new(item, "ALL_OLD")
        return {
            "Put": {
                "TableName": self._table,
                "Item": item,
                "ConditionExpression": "#n = :n",
                "ExpressionAttributeNames": {"#n": "next"},
                "ExpressionAttributeValues": {":n": attribute(guess)},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _entry(self, entry: Entry) -> Attribute:
        return self._new(pending_item(entry), "NONE")

    def _new(self, item: Attribute, on_failure: str) -> Attribute:
        return {
            "Put": {
                "TableName": self._table,
                "Item": item,
                "ConditionExpression": "attribute_not_exists(pk)",
                "ReturnValuesOnConditionCheckFailure": on_failure,
            }
        }


def _known(head: Attribute) -> Known:
    values = {name: int(head[name]["N"]) for name in ("next", "committed") if name in head}
    return Known(values.get("next", 0), values.get("committed", 0))


def _duplicate(mark: Mark, item: Attribute | None) -> Duplicate:
    remembered = (item or {}).get("remembered")
    return Duplicate(mark.scope, mark.id, value_of(remembered) if remembered else None)


def _raise_for(error: ClientError, reasons: list[dict[str, Any]], unit: Unit, fixed: Sequence[Attribute]) -> None:
    """Raise what a cancellation means, unless it was only about heads and entries."""
    codes = {reason["Code"] for reason in reasons} - {"None"}
    if unit.mark is not None and reasons and reasons[0]["Code"] == _FAILED:
        raise _duplicate(unit.mark, reasons[0].get("Item"))
    if codes & THROTTLED:
        raise Unavailable("dynamodb", str(error)) from error
    for reason in reasons:
        _raise_if_too_large(error, reason["Code"], reason.get("Message", ""))
    if not codes or codes - RACED:
        raise error
    raced = [(write, reason) for write, reason in zip(fixed, reasons, strict=False) if reason["Code"] in RACED]
    if raced:
        there = all(reason["Code"] == _FAILED and _makes(write) for write, reason in raced)
        kind = Collision if there else Conflict
        raise kind(f"another transaction came first: {error}") from error


def _raise_if_too_large(error: ClientError, code: str, said: str) -> None:
    """Raise `TooLarge` for an item beyond 400 KB or a transaction beyond 4 MB: only its words tell that from others."""
    if code in _INVALID and "size" in said.lower():
        raise TooLarge(f"DynamoDB has no room for it: {said}") from error


def _makes(write: Attribute) -> bool:
    """Tell whether a write demands that there is nothing yet."""
    ((_, operation),) = write.items()
    return str(operation.get("ConditionExpression", "")).startswith("attribute_not_exists")
