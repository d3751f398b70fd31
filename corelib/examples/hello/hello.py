"""A whole service on corelib: `python hello.py`, then `curl -X POST http://127.0.0.1:8080/hello/ann`."""

from corelib.actor import Actor, receive
from corelib.api import Api, post
from corelib.config import ServiceSettings
from corelib.documents import Table
from corelib.main import main
from corelib.memory.broker import MemoryBroker
from corelib.memory.store import Memory
from corelib.memory.transaction import MemoryTransaction
from corelib.message import Channel, Event
from corelib.service import Service


class Greeted(Event, type="hello.greeted.v1", channels=(Channel("greetings"),), key="name"):
    name: str


class HelloApi(Api):
    @post("/hello/{name}", status=202)
    async def greet(self, name: str, tx: MemoryTransaction) -> None:
        tx.publish(Greeted(name=name))


class GuestBook(Actor):
    @receive
    async def greeted(self, event: Greeted, tx: MemoryTransaction) -> None:
        tx.put("guests", {"name": event.name})


def build(settings: ServiceSettings) -> Service:
    store, broker = Memory(tables=[Table("guests", key="name")]), MemoryBroker()
    return Service(
        "hello", settings, store=store, apis=[HelloApi()], actors=[GuestBook()], publishes=[Greeted], brokers=[broker]
    )


if __name__ == "__main__":
    main(ServiceSettings, build)
