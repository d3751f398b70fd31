"""What is kept of a record that is parked: what it is known by, what it failed of, how a try went."""

import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import orjson

from corelib.message import Record
from corelib.store import Failure, Parked

MALFORMED = "(malformed)"
"""The handler that records are parked for which are no event, so that nobody can tell whose they are."""
RELAY = "relay-"
"""How the names begin that a relay parks under what its broker will never take."""
AT_ONCE = 50
"""So many of a queue's records are read at once: a key may have a million behind its poison."""
_LONGEST_ID = 200
_LONGEST_REASON = 500
_LONGEST_TRACEBACK = 8_000
_FRAMES = 8
_AGAIN = "\nTried again, it failed of "


@dataclass(frozen=True)
class Resumed:
    """How many records of a key were handled, and what the first failed of that was not."""

    handled: int
    failure: Failure | None = None


def parked_as(handler: str, record: Record) -> str:
    """Return by what a record is known among those that are parked for a handler, so that it is parked once.

    That is its event's id; what is no event is known by all that it is.
    """
    event_id = record.header("ce_id")
    if event_id and len(event_id) <= _LONGEST_ID and handler != MALFORMED:
        return event_id
    digest = sha256(orjson.dumps((record.channel, record.key, record.headers)))
    digest.update(record.payload)
    return f"sha256/{digest.hexdigest()}"


def time_of(headers: Iterable[tuple[str, str]]) -> datetime | None:
    """Return when the event of a record happened; None where its headers do not tell."""
    try:
        time = datetime.fromisoformat(dict(headers)["ce_time"])
    except (KeyError, ValueError):
        return None
    return time if time.tzinfo else None


def failure_of(error: BaseException) -> Failure:
    """Return an error as it is kept with the record."""
    reason = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
    trace = "".join(traceback.format_exception(error, limit=-_FRAMES))
    return Failure(_encodable(reason), _encodable(trace[-_LONGEST_TRACEBACK:]))


def failed_again(parked: Parked, failure: Failure) -> Failure:
    """Return what is kept of a record that failed once more: what it was parked for, and behind that the latest try.

    The first failure tells what to mend; a later one may only tell that the store was away, or of its age.
    """
    if not parked.attempts:
        return failure
    first = parked.traceback.partition(_AGAIN)[0][-_LONGEST_TRACEBACK // 2 :]
    latest = failure.traceback[-_LONGEST_TRACEBACK // 2 :]
    return Failure(parked.reason, f"{first}{_AGAIN}{failure.reason}\n{latest}")


def _encodable(said: str) -> str:
    """Half a surrogate pair, as out of somebody's cut JSON, is no text to any store, and NUL is none to PostgreSQL."""
    return said.encode("utf-8", "backslashreplace").decode().replace("\0", "\ufffd")
