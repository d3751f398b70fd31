"""The whole service with all its parts, spoken to over Kafka as svc-order does."""

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer

from contracts.money import Money
from contracts.orders import OrderCancelled, OrderLine, OrderPlaced
from corelib.clock import ManualClock
from corelib.ids import uuid7
from corelib.kafka.broker import Kafka
from corelib.message import Envelope, Event, Record
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.testing.running import free_port, running, until
from svc_product.app import build
from svc_product.postgres import SqlCatalogue
from svc_product.settings import ProductSettings
from svc_product.store import Product

PRICE = Money(amount=100, currency="USD")


@dataclass
class World:
    service: Service
    clock: ManualClock
    kafka: Kafka
    consumer: AIOKafkaConsumer
    heard: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    async def say(self, *records: Record) -> None:
        assert all(await self.kafka.send(records))

    async def hears(self, kind: str, order_id: UUID, seconds: float = 30) -> list[str]:
        """Wait until this was said of an order; give all that was."""

        async def is_heard() -> bool:
            for messages in (await self.consumer.getmany(timeout_ms=50)).values():
                for message in messages:
                    self.heard[message.key.decode()].append(dict(message.headers)["ce_type"].decode())
            return kind in self.heard[str(order_id)]

        await until(is_heard, seconds=seconds)
        return self.heard[str(order_id)]

    async def stocked(self, units: int) -> str:
        store = self.service.store
        assert isinstance(store, Postgres)
        product = Product(f"p-{uuid4()}", "Bread", "", 100, "USD", active=True, version=1)
        async with store.transaction() as tx:
            await SqlCatalogue(store).add(tx, product, units)
        return product.product_id

    async def shelf(self, product: str) -> tuple[int, int]:
        store = self.service.store
        assert isinstance(store, Postgres)
        found = await SqlCatalogue(store).find(product)
        assert found is not None
        assert found.shelf is not None
        return found.shelf.on_hand, found.shelf.reserved


def record(event: Event, payload: bytes | None = None) -> Record:
    envelope = Envelope(uuid7(), event.type, "test", datetime.now(UTC), event.key)
    return envelope.record(event.channels[0].name, payload or event.model_dump_json().encode())


def order(product: str, units: int) -> OrderPlaced:
    line = OrderLine(product_id=product, quantity=units, unit_price=PRICE)
    return OrderPlaced(order_id=uuid7(), user_id=uuid4(), lines=(line,), total=PRICE, placed_at=datetime.now(UTC))


@pytest.fixture
async def world(surroundings: dict[str, Any], kafka_bootstrap: str) -> AsyncIterator[World]:
    prefix, clock = surroundings["kafka_prefix"], ManualClock(datetime.now(UTC))
    settings = ProductSettings(**surroundings, kafka_bootstrap=kafka_bootstrap, port=free_port())
    service, kafka = build(settings, clock=clock), Kafka(kafka_bootstrap, prefix=prefix)
    async with running(service):
        consumer = AIOKafkaConsumer(
            f"{prefix}stock",
            bootstrap_servers=kafka_bootstrap,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        await kafka.open()
        await consumer.start()
        yield World(service, clock, kafka, consumer)
        await consumer.stop()
        await kafka.close()


async def test_orders_are_reserved_released_and_expired_over_kafka_though_events_come_twice_and_broken(
    world: World,
) -> None:
    bread = await world.stocked(5)
    first, second, broken = order(bread, 2), order(bread, 2), order(bread, 1)
    twice = record(first)
    await world.say(record(broken, b"{"), Record("orders", "nonsense", (), b""), twice, twice, record(second))
    assert await world.hears("souk.stock.reserved.v1", first.order_id) == ["souk.stock.reserved.v1"]
    await world.hears("souk.stock.reserved.v1", second.order_id)
    assert await world.shelf(bread) == (5, 4)

    cancelled = OrderCancelled(
        order_id=first.order_id, user_id=first.user_id, reason="x", cancelled_at=datetime.now(UTC)
    )
    await world.say(record(cancelled), twice)
    await world.hears("souk.stock.released.v1", first.order_id)
    world.clock.advance(timedelta(days=1))
    expired = await world.hears("souk.stock.released.v1", second.order_id)
    assert expired == ["souk.stock.reserved.v1", "souk.stock.reservation-expired.v1", "souk.stock.released.v1"]
    assert await world.shelf(bread) == (5, 0)
    assert world.heard[str(first.order_id)] == ["souk.stock.reserved.v1", "souk.stock.released.v1"]

    parking = world.service.store.parking
    assert [one.record.key for one in await parking.list("(malformed)")] == ["nonsense"]
    assert [one.record.key for one in await parking.list("Warehouse.order_placed")] == [str(broken.order_id)]
