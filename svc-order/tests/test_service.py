"""The whole service with all its parts, spoken to as the other services do: over Kafka and HTTP."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer

from contracts.money import Money
from contracts.payments import PaymentCaptured
from contracts.stock import ProductChanged, StockReserved
from corelib.aws.clients import Bucket
from corelib.ids import uuid7
from corelib.kafka.broker import Kafka
from corelib.message import Envelope, Event, Record
from corelib.service import Service
from corelib.testing.issuer import Issuer
from corelib.testing.running import free_port, running, until
from svc_order.app import build
from svc_order.settings import OrderSettings

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def record(event: Event, event_id: UUID | None = None, payload: bytes | None = None) -> Record:
    envelope = Envelope(event_id or uuid7(), event.type, "test", datetime.now(UTC), event.key, TRACEPARENT)
    return envelope.record(event.channels[0].name, payload or event.model_dump_json().encode())


@dataclass
class World:
    """All that surrounds the service: the other services' voice and ears."""

    service: Service
    kafka: Kafka
    consumer: AIOKafkaConsumer
    session: aiohttp.ClientSession
    url: str
    headers: dict[str, str]
    heard: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    async def say(self, *records: Record) -> None:
        assert all(await self.kafka.send(records))

    async def has_heard(self, kind: str, key: str) -> bool:
        for messages in (await self.consumer.getmany(timeout_ms=50)).values():
            for message in messages:
                headers = {name: value.decode() for name, value in message.headers}
                self.heard.append((headers.get("ce_type", ""), (message.key or b"").decode(), headers))
        return self.count(kind, key) > 0

    def count(self, kind: str, key: str) -> int:
        return sum(heard[:2] == (kind, key) for heard in self.heard)

    async def order(self, order_id: str) -> Any:
        async with self.session.get(f"{self.url}/api/v1/orders/{order_id}", headers=self.headers) as answer:
            return await answer.json()

    async def place(self, product: str) -> tuple[int, Any]:
        body = {"lines": [{"product_id": product, "quantity": 2}]}
        headers = {**self.headers, "Idempotency-Key": str(uuid4()), "traceparent": TRACEPARENT}
        async with self.session.post(f"{self.url}/api/v1/orders", json=body, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def world(surroundings: dict[str, Any], kafka_bootstrap: str) -> AsyncIterator[World]:
    prefix = surroundings["kafka_prefix"]
    async with Issuer() as issuer:
        settings = OrderSettings(
            **surroundings,
            kafka_bootstrap=kafka_bootstrap,
            port=free_port(),
            jwks_url=issuer.jwks_url,
            price_cache_seconds=0,
        )
        service, kafka = build(settings), Kafka(kafka_bootstrap, prefix=prefix)
        async with running(service) as url, aiohttp.ClientSession() as session:
            topics = [f"{prefix}{name}" for name in ("orders", "payments")]
            consumer = AIOKafkaConsumer(*topics, bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest")
            await kafka.open()
            await consumer.start()
            headers = {"Authorization": f"Bearer {issuer.token(uuid4())}"}
            yield World(service, kafka, consumer, session, url, headers)
            await consumer.stop()
            await kafka.close()


async def notifications(service: Service, surroundings: dict[str, Any]) -> list[Any]:
    bucket = next(one for one in service.resources if isinstance(one, Bucket))
    sqs = await bucket.aws.client("sqs")
    queue = (await sqs.get_queue_url(QueueName=f"{surroundings['aws_prefix']}notifications"))["QueueUrl"]
    answer = await sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
    return list(answer.get("Messages", []))


async def test_an_order_goes_its_way_over_kafka_though_events_come_twice_and_broken(
    world: World, surroundings: dict[str, Any]
) -> None:
    price = Money(amount=250, currency="USD")
    changed = ProductChanged(product_id="bread", name="Bread", price=price, active=True, version=1)
    await world.say(record(changed))

    async def is_placed() -> bool:
        return (await world.place("bread"))[0] == 201

    await until(is_placed)
    _, placed = await world.place("bread")
    order_id = placed["order_id"]
    await until(lambda: world.has_heard("souk.order.placed.v1", order_id))
    assert TRACE in next(heard[2]["traceparent"] for heard in world.heard if heard[1] == order_id)

    expires = datetime.now(UTC) + timedelta(minutes=15)
    reserved = StockReserved(order_id=UUID(order_id), expires_at=expires)
    twice = record(reserved, uuid7())
    broken = record(StockReserved(order_id=uuid7(), expires_at=expires), payload=b'{"order_id": 7}')
    nonsense = Record("stock", "nonsense", (), b"\xff")
    await world.say(broken, nonsense, twice, twice)
    await until(lambda: world.has_heard("souk.payment.requested.v1", order_id))

    captured = PaymentCaptured(order_id=UUID(order_id), payment_id=uuid4(), amount=Money(amount=500, currency="USD"))
    await world.say(twice, record(captured))
    await until(lambda: world.has_heard("souk.order.confirmed.v1", order_id))
    assert (await world.order(order_id))["status"] == "confirmed"
    assert world.count("souk.payment.requested.v1", order_id) == 1

    parking = world.service.store.parking
    assert [one.record.key for one in await parking.list("(malformed)")] == ["nonsense"]
    assert [one.record.key for one in await parking.list("Fulfilment.stock_reserved")] == [broken.key]
    told: list[Any] = []

    async def is_told() -> bool:
        told.extend(await notifications(world.service, surroundings))
        return bool(told)

    await until(is_told)
    attributes = told[0]["MessageAttributes"]
    assert (attributes["ce_type"]["StringValue"], order_id in told[0]["Body"]) == ("souk.order.confirmed.v1", True)
    assert TRACE in attributes["traceparent"]["StringValue"]
