"""A small service on corelib's public API, made to be killed: `python -m crash.app --only relay`.

Every entry of an account is an event; handling it leaves an effect and publishes another event, whose handling leaves
one too. The entry is stamped outside of any transaction as well, and the stamp is a third event; some entries set a
timer. So a lost, doubled or overtaken event anywhere shows in the table `effect`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from corelib.actor import Actor, Effect, effect, receive
from corelib.config import ServiceSettings
from corelib.kafka.broker import Kafka
from corelib.main import main
from corelib.message import Channel, Event
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.service import Service
from corelib.store import Store
from corelib.transaction import Transaction

ENTRIES = Channel("entries")
BOOKINGS = Channel("bookings")
STAMPS = Channel("stamps")
CHIMES = Channel("chimes", partitions=1)
CHANNELS = (ENTRIES, BOOKINGS, STAMPS, CHIMES)

SCHEMA = "ledger"
# No key on an effect: a doubled one must be able to show.
TABLES = """
CREATE TABLE IF NOT EXISTS account (name text PRIMARY KEY, entries bigint NOT NULL);
CREATE TABLE IF NOT EXISTS entry (id text PRIMARY KEY, account text NOT NULL, number bigint NOT NULL,
                                  chimes boolean NOT NULL);
CREATE TABLE IF NOT EXISTS effect (n bigint GENERATED ALWAYS AS IDENTITY, kind text NOT NULL, account text NOT NULL,
                                   number bigint NOT NULL);
"""
# Shorter than a run, so that the ring turns while everything is being killed.
KEEP = timedelta(seconds=2)
_AWAY_SECONDS = 0.002


class EntryAdded(Event, type="crash.entry.added.v1", channels=(ENTRIES,), key="account"):
    """The account's entry of this number was committed; `padding` gives the event a size."""

    account: str
    number: int
    padding: str = ""


class EntryBooked(Event, type="crash.entry.booked.v1", channels=(BOOKINGS,), key="account"):
    """The entry was handled."""

    account: str
    number: int


class EntryStamped(Event, type="crash.entry.stamped.v1", channels=(STAMPS,), key="account"):
    """The outside world has stamped the entry."""

    account: str
    number: int


class EntryChimed(Event, type="crash.entry.chimed.v1", channels=(CHIMES,), key="account"):
    """The timer that came with the entry went off."""

    account: str
    number: int


OF_EACH: tuple[type[EntryAdded | EntryBooked | EntryStamped], ...] = (EntryAdded, EntryBooked, EntryStamped)
"""The events that there are of each entry."""
Entered = EntryAdded | EntryBooked | EntryStamped | EntryChimed


@dataclass(frozen=True)
class Book(Actor):
    """Leaves an effect for each event, in the way of its store."""

    leave: Callable[[Any, Entered], Awaitable[None]]

    @receive
    async def entry_added(self, event: EntryAdded, tx: Transaction) -> None:
        """Handle the first event of the chain."""
        await self.leave(tx, event)
        tx.publish(EntryBooked(account=event.account, number=event.number))

    @effect(deadline=timedelta(seconds=5))
    async def stamp(self, event: EntryAdded, call: Effect) -> EntryStamped:  # noqa: ARG002 -- an effect has one
        """Be away for a moment, in which everything may be killed."""
        await asyncio.sleep(_AWAY_SECONDS)
        return EntryStamped(account=event.account, number=event.number)

    @receive
    async def entry_stamped(self, event: EntryStamped, tx: Transaction) -> None:
        """Handle what the call outside came to."""
        await self.leave(tx, event)

    @receive
    async def entry_booked(self, event: EntryBooked, tx: Transaction) -> None:
        """Handle the second."""
        await self.leave(tx, event)

    @receive
    async def entry_chimed(self, event: EntryChimed, tx: Transaction) -> None:
        """Handle a timer."""
        await self.leave(tx, event)


def ledger(settings: ServiceSettings, store: Store, book: Book) -> Service:
    """Wire the service on a store."""
    return Service(
        "ledger",
        settings,
        store=store,
        actors=[book],
        publishes=[*OF_EACH, EntryChimed],
        brokers=[Kafka(settings.kafka(), prefix=settings.kafka_prefix, session_seconds=6)],
    )


async def leave(tx: PostgresTransaction, event: Entered) -> None:
    """Write the effect of an event."""
    await tx.execute(
        "INSERT INTO effect (kind, account, number) VALUES ($1, $2, $3)", event.type, event.account, event.number
    )


def store_of(settings: ServiceSettings) -> Postgres:
    """Return the ledger's store."""
    return Postgres(settings.postgres_dsn, schema=SCHEMA, migrations=(TABLES,), keep=KEEP)


def build(settings: ServiceSettings) -> Service:
    """Wire the service on PostgreSQL."""
    return ledger(settings, store_of(settings), Book(leave))


if __name__ == "__main__":
    main(ServiceSettings, build)
