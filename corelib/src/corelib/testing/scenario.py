"""What a simulation is about: a service's events and actors, what drives them, what must be true in the end."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from corelib.actor import Actor, Route
from corelib.consumer.consumer import Consumer
from corelib.documents import Table
from corelib.memory.broker import MemoryBroker
from corelib.memory.cluster import Cluster
from corelib.memory.database import Database
from corelib.memory.link import Link
from corelib.memory.store import Memory
from corelib.message import Channel, Event
from corelib.part import Part
from corelib.relay.log_relay import LogRelay
from corelib.relay.parking import Resender
from corelib.relay.relay import Relay
from corelib.timers import Timers
from corelib.transaction import channels_of

if TYPE_CHECKING:
    from corelib.testing.world import Node, World

_RESEND_SECONDS = 5.0


class Scenario:
    """Subclass it. Of each schedule there is a new one, so that it may keep what it sees in attributes."""

    publishes: ClassVar[Sequence[type[Event]]] = ()
    tables: ClassVar[Sequence[Table]] = ()
    replicas: ClassVar[int] = 2
    exactly_once: ClassVar[bool] = True
    """Whether the relay is the one between two logs; the other sends at least once."""
    concurrency: ClassVar[int] = 4
    """How many keys a node works on at the same time."""
    faults: ClassVar[int] = 8
    only: ClassVar[Sequence[str]] = ()
    """The kinds of fault that may happen, by the names in `corelib.testing.chaos.FAULTS`; empty is all of them."""
    calm_seconds: ClassVar[float] = 0.7
    """The mean time between two faults."""
    seconds: ClassVar[float] = 120.0
    """When a schedule must have come to its end, in virtual time."""
    skew_seconds: ClassVar[float] = 0.5
    """How far a node's clock may be off."""

    def actors(self, node: "Node | None" = None) -> Sequence[Actor]:  # noqa: ARG002 -- for those who need it
        """Return the actors of one node; they are made anew after each crash. `node` is None where only asked for."""
        return ()

    async def drive(self, world: "World") -> None:
        """Do what the outside does, through `world.request`."""

    def settled(self, world: "World") -> bool:  # noqa: ARG002 -- for those who need it
        """Tell whether what the scenario waits for besides its events has happened."""
        return True

    def check(self, world: "World") -> None:
        """Raise `AssertionError` if the end is not as it should be; `world.database` has it."""

    def sends_once(self) -> bool:
        """Tell whether no event may stand on its topic twice."""
        return self.exactly_once

    def routes(self) -> list[Route]:
        """Return the handlers of all actors."""
        return [route for actor in self.actors() for route in actor.routes()]

    def channels(self) -> list[Channel]:
        """Return every channel, in order of names."""
        kinds = frozenset((*self.publishes, *(route.event for route in self.routes())))
        return sorted(channels_of(kinds), key=lambda channel: channel.name)

    def store(self, database: Database, link: Link) -> Memory:
        """Return a node's store."""
        return Memory(tables=self.tables, database=database, link=link)

    def broker(self, cluster: Cluster, link: Link, client: str) -> MemoryBroker:
        """Return a node's broker."""
        return MemoryBroker(cluster, link=link, client=client, exactly_once=self.exactly_once)

    def parts(self, node: "Node") -> list[Part]:
        """Return what a node runs: what a service would."""
        resender = Resender("kafka", node.store.parking, node.broker, every_seconds=_RESEND_SECONDS)
        return [self.relay(node), resender, Timers(node.store), self.consumer(node)]

    def consumer(self, node: "Node", kind: type[Consumer] = Consumer) -> Part:
        """Return a node's consumer."""
        consumed = sorted(
            channels_of(frozenset(route.event for route in self.routes())), key=lambda channel: channel.name
        )
        return kind(
            lambda: node.broker.subscribe("simulated", consumed),
            [route for actor in self.actors(node) for route in actor.routes()],
            node.store,
            clock=node.clock,
            concurrency=self.concurrency,
        )

    def relay(self, node: "Node") -> Part:
        """Return a node's relay."""
        channels = frozenset(channel.name for channel in channels_of(frozenset(self.publishes)))
        wake = node.store.committed()
        if self.exactly_once:
            source, sink = node.store.log("kafka", channels), node.broker.log("outbox")
            return LogRelay(source, sink, wake, node.store.parking, holder=node.name)
        reader = node.store.outbox("kafka", channels)
        return Relay("kafka", reader, node.broker, wake, node.store.parking, holder=node.name)
