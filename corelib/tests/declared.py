"""What the tests of declarations declare."""

from collections.abc import Sequence

from corelib.actor import Actor
from corelib.api import Api
from corelib.aws.clients import Aws
from corelib.config import ServiceSettings
from corelib.dynamo.store import Dynamo
from corelib.memory.broker import MemoryBroker
from corelib.memory.store import Memory
from corelib.message import Channel, Event
from corelib.service import Service
from corelib.store import Store

NOTES = Channel("notes")


class Noted(Event, type="test.noted.v1", channels=(NOTES,), key="name"):
    name: str


class Read(Event, type="test.read.v1", channels=(NOTES,), key="name"):
    name: str


class Drawn(Event, type="test.drawn.v1", channels=(Channel("drawings", max_bytes=350_001),), key="name"):
    name: str


def service(
    *,
    actors: Sequence[Actor] = (),
    apis: Sequence[Api] = (),
    publishes: Sequence[type[Event]] = (),
    store: Store | None = None,
) -> Service:
    settings, broker, store = ServiceSettings(), MemoryBroker(), store or Memory()
    return Service("x", settings, store=store, actors=actors, apis=apis, publishes=publishes, brokers=[broker])


def dynamo() -> Store:
    return Dynamo("x", Aws(endpoint_url="http://127.0.0.1:1"))
