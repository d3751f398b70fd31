"""Taking from SQS, against a real endpoint."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import pytest

from contract.booked import LEDGER, MAILS, Booked, found, record, waiting
from contract.taking import opened, take
from corelib.aws.clients import Aws
from corelib.broker import Delivery, Subscription
from corelib.errors import Unavailable
from corelib.message import Channel, Transport
from corelib.metrics import AWS_CALLS
from corelib.sqs.broker import Sqs
from corelib.sqs.queues import BATCH, Queues
from corelib.sqs.subscription import SqsSubscription
from corelib.testing.running import until
from devstack.cable import Cable


def number(delivery: Delivery) -> int:
    return Booked.model_validate_json(delivery.record.payload).number


def subscribed(aws: Aws, *channels: str, **options: Any) -> AbstractAsyncContextManager[SqsSubscription]:
    return opened(SqsSubscription(Queues(aws), channels or (MAILS.name,), poll_seconds=1, **options))


async def test_what_was_sent_is_received_and_what_is_done_is_deleted(sqs: Sqs, aws: Aws) -> None:
    sent = [record(n, key=f"k-{n}") for n in range(25)]
    assert all(await sqs.send(sent))
    async with subscribed(aws) as subscription:
        taken = await take(subscription, 25)
        by_number = sorted(taken, key=number)
        assert [each.record.key for each in by_number] == [each.key for each in sent]
        assert [set(each.record.headers) for each in by_number] == [set(each.headers) for each in sent]
        for delivery in taken:
            await subscription.done(delivery)
        await until(lambda: found(waiting(aws), (0, 0)))


async def test_what_is_not_done_is_given_back_at_the_end(sqs: Sqs, aws: Aws) -> None:
    await sqs.send([record(n) for n in range(3)])
    async with subscribed(aws) as subscription:
        first, *_ = await take(subscription, 3)
        await subscription.done(first)
    assert await waiting(aws) == (2, 0)


async def test_what_is_given_back_at_stop_after_stop_is_no_dead_letter(sqs: Sqs, aws: Aws) -> None:
    await sqs.send([record(1)])
    for _ in range(6):
        async with subscribed(aws) as subscription:
            await take(subscription, 1)
    assert await waiting(aws) == (1, 0)


async def test_what_waits_to_be_taken_is_little_and_nobody_elses(sqs: Sqs, aws: Aws) -> None:
    await sqs.send([record(n, key=f"k-{n}") for n in range(40)])
    extended = AWS_CALLS.labels("sqs", "ChangeMessageVisibilityBatch")
    async with subscribed(aws, visible_seconds=1, extend_seconds=0.25) as subscription:
        await until(lambda: len(subscription._in_hand) > BATCH)
        before = extended._value.get()
        await until(lambda: extended._value.get() >= before + 12)  # 1.5 s, as there are two batches
        held = len(subscription._in_hand)
        assert held <= 2 * BATCH
        assert await waiting(aws) == (40 - held, held)
        assert len(await take(subscription, 40)) == 40
    assert await waiting(aws) == (40, 0)


async def test_a_stop_gives_back_at_once_what_nobody_has_taken(sqs: Sqs, aws: Aws) -> None:
    await sqs.send([record(n, key=f"k-{n}") for n in range(40)])
    async with subscribed(aws) as subscription:
        await until(lambda: len(subscription._in_hand) > BATCH)
    assert await waiting(aws) == (40, 0)


async def test_what_is_in_hand_longer_than_its_time_is_nobody_elses(sqs: Sqs, aws: Aws) -> None:
    await sqs.send([record(1)])
    extended = AWS_CALLS.labels("sqs", "ChangeMessageVisibilityBatch")
    async with subscribed(aws, visible_seconds=1, extend_seconds=0.25) as subscription:
        (delivery,) = await take(subscription, 1)
        before = extended._value.get()
        await until(lambda: _reached(lambda: extended._value.get() >= before + 6))  # 1.5 s
        assert await waiting(aws) == (0, 1)
        await subscription.done(delivery)
    assert await waiting(aws) == (0, 0)


async def _reached(condition: Callable[[], bool]) -> bool:
    return condition()


@pytest.mark.parametrize(("fault", "ours"), [(False, [True] * 4), (True, [False, False, False, True])])
async def test_what_could_not_be_kept_is_given_up_with_its_group_only_if_it_is_anothers(
    sqs: Sqs, aws: Aws, monkeypatch: pytest.MonkeyPatch, *, fault: bool, ours: list[bool]
) -> None:
    """SQS itself may fail to extend one message of a batch for a moment: then it is still in hand."""
    rounds: list[list[str]] = []
    through = Queues.call

    async def call(self: Queues, operation: str, **request: Any) -> dict[str, Any]:
        answer = await through(self, operation, **request)
        if operation == "ChangeMessageVisibilityBatch":
            failing = [each["Id"] for each in request["Entries"] if each["ReceiptHandle"] == receipt]
            answer = {"Failed": [{"Id": each, "Code": "Trouble", "SenderFault": fault} for each in failing]}
            rounds.append(failing)
        return answer

    assert all(await sqs.send([record(n, LEDGER, key) for n, key in enumerate(["a", "a", "a", "b"])]))
    async with subscribed(aws, LEDGER.name, extend_seconds=0.05) as subscription:
        taken = sorted(await take(subscription, 4), key=number)
        receipt = cast("Any", taken[1].position).receipt

        async def tried_twice() -> bool:
            return len(rounds) >= 2 and any(rounds)

        with monkeypatch.context() as trouble:
            trouble.setattr(Queues, "call", call)
            await until(tried_twice)
            assert [subscription.begin(each) for each in taken] == ours


async def test_what_is_deleted_while_its_group_is_kept_gives_nothing_up(
    sqs: Sqs, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Delivery] = []
    refused: list[str] = []
    through = Queues.call

    async def call(self: Queues, operation: str, **request: Any) -> dict[str, Any]:
        if operation == "ChangeMessageVisibilityBatch" and taken and not refused:
            await subscription.done(taken[0])
            await until(lambda: found(waiting(aws, LEDGER.name), (0, 2)))
            answer = await through(self, operation, **request)
            refused.extend(each["Code"] for each in answer["Failed"])
            return answer
        return await through(self, operation, **request)

    assert all(await sqs.send([record(n, LEDGER, "a") for n in range(3)]))
    async with subscribed(aws, LEDGER.name, extend_seconds=0.5) as subscription:
        taken += sorted(await take(subscription, 3), key=number)
        with monkeypatch.context() as trouble:
            trouble.setattr(Queues, "call", call)
            await until(lambda: _reached(lambda: bool(refused)))
        assert [subscription.begin(each) for each in taken] == [False, True, True]


async def test_stopping_yields_what_was_received_and_ends(sqs: Sqs, aws: Aws) -> None:
    await sqs.send([record(n) for n in range(10)])
    async with subscribed(aws) as subscription:
        taken: list[Delivery] = []
        async for delivery in subscription.deliveries():
            subscription.stop_taking()
            taken.append(delivery)
        assert len(taken) == 10
        for delivery in taken:
            await subscription.done(delivery)
    assert await waiting(aws) == (0, 0)


async def test_lag_counts_what_waits(sqs: Sqs, aws: Aws) -> None:
    async with subscribed(aws, LEDGER.name) as subscription:
        assert await subscription.lag() == {LEDGER.name: 0}
        (_,) = [await sqs.send([record(1, LEDGER)])] and await take(subscription, 1)
        await sqs.send([record(2, LEDGER)])
        assert await subscription.lag() == {LEDGER.name: 1}


async def test_two_replicas_keep_the_order_of_a_key_on_a_fifo_queue(sqs: Sqs, aws: Aws) -> None:
    keys, count = ("a", "b", "c"), 12
    await sqs.send([record(n, LEDGER, key) for n in range(count) for key in keys])
    seen: dict[str, list[int]] = {key: [] for key in keys}

    async def replica() -> None:
        async with subscribed(aws, LEDGER.name) as subscription:
            async for delivery in subscription.deliveries():
                await asyncio.sleep(0)  # let the other one overtake if it can
                seen[delivery.record.key].append(number(delivery))
                await subscription.done(delivery)
                if sum(map(len, seen.values())) == count * len(keys):
                    everything.set()

    everything = asyncio.Event()
    replicas = [asyncio.create_task(replica()) for _ in range(2)]
    async with asyncio.timeout(60):
        await everything.wait()
    for task in replicas:
        task.cancel()
    await asyncio.gather(*replicas, return_exceptions=True)
    assert seen == {key: list(range(count)) for key in keys}


async def test_a_cut_connection_delays_deletion_but_loses_nothing(sqs: Sqs, aws: Aws) -> None:
    await sqs.send([record(n) for n in range(12)])
    async with Cable(str(aws.endpoint_url)) as cable:
        through = Aws(endpoint_url=cable.address, prefix=aws.prefix)
        subscription = SqsSubscription(Queues(through), [MAILS.name], poll_seconds=1)
        await subscription.open()
        taken = await take(subscription, 12)
        await cable.pull()
        for delivery in taken:
            await subscription.done(delivery)
        deleting = AWS_CALLS.labels("sqs", "DeleteMessageBatch")
        before = deleting._value.get()
        await until(lambda: _reached(lambda: deleting._value.get() > before + 6))
        assert await waiting(aws) == (0, 12)
        await cable.plug()
        await until(lambda: found(waiting(aws), (0, 0)))
        await subscription.close()


async def test_a_queue_that_does_not_answer_keeps_no_stop(sqs: Sqs, aws: Aws) -> None:
    await sqs.send([record(n) for n in range(30)])
    async with Cable(str(aws.endpoint_url)) as cable:
        through = Aws(endpoint_url=cable.address, prefix=aws.prefix)
        subscription = SqsSubscription(Queues(through), [MAILS.name], poll_seconds=1)
        await subscription.open()
        taken = await take(subscription, 20)
        cable.stall()
        for delivery in taken[:10]:
            await subscription.done(delivery)
        async with asyncio.timeout(15):
            await subscription.close()


@pytest.mark.usefixtures("sqs")
async def test_a_broken_connection_is_told_to_the_consumer(aws: Aws) -> None:
    async with Cable(str(aws.endpoint_url)) as cable:
        through = Aws(endpoint_url=cable.address, prefix=aws.prefix)
        subscription = SqsSubscription(Queues(through), [MAILS.name], poll_seconds=1)
        await subscription.open()
        await cable.pull()
        with pytest.raises(Unavailable):
            await take(subscription, 1)
        await subscription.close()


async def test_a_queue_that_is_not_there_keeps_nobody_from_the_others(sqs: Sqs, aws: Aws) -> None:
    late, queues = Channel("late", transport=Transport.SQS), Queues(aws)

    async def named() -> bool:
        try:
            await sqs.check()
        except Unavailable as error:
            return f"queues do not exist: {aws.prefix}late" in str(error)
        return False

    subscription = sqs.subscribe("all", [MAILS, late])
    await subscription.open()
    try:
        await sqs.send([record(1)])
        await _done(subscription, [1])
        await until(named)
        await sqs.provision([late])
        await sqs.send([record(2, late)])
        await _done(subscription, [2])
        await sqs.check()
        await queues.call("DeleteQueue", QueueUrl=await queues.url("late"))
        await until(named)
        await sqs.send([record(3)])
        await _done(subscription, [3])
    finally:
        await subscription.close()


async def _done(subscription: Subscription, numbers: list[int]) -> None:
    taken = await take(cast("SqsSubscription", subscription), len(numbers))
    assert [number(each) for each in taken] == numbers
    for each in taken:
        await subscription.done(each)


async def test_a_missing_queue_is_unavailable(aws: Aws) -> None:
    with pytest.raises(Unavailable, match="does not exist"):
        await SqsSubscription(Queues(aws), ["nowhere"]).open()
