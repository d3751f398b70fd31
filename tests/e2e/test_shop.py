"""The whole shop, through its gateway, on every real part."""

import asyncio
import signal
import time

import pytest

from devstack.baskets import Basket, Replay
from devstack.replay import Progress, Replayer
from devstack.settled import settled
from devstack.shopper import FINAL, Refused, Shopper
from devstack.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(400)]


async def final(shop: Shopper, household: str, order_id: str) -> str:
    deadline = time.monotonic() + 60
    while True:
        status = str((await shop.order(household, order_id))["status"])
        if status in FINAL or time.monotonic() > deadline:
            return status
        await asyncio.sleep(0.1)


async def test_real_baskets_end_well_while_every_service_is_killed(
    stack: Stack, open_shop: Shopper, replay: Replay
) -> None:
    progress = Progress(total=len(replay.baskets))
    work = asyncio.create_task(
        Replayer(open_shop, progress, concurrency=8).run(list(replay.baskets), deadline_seconds=240)
    )
    for part in ("order", "product", "payment"):
        assert stack.kill(part, signal.SIGKILL), f"{part} was not running"
        await stack.healthy(part, deadline_seconds=60)
    await work
    assert progress.refused == []
    assert progress.placed == len(replay.baskets)
    assert sum(progress.states[state] for state in FINAL) == len(replay.baskets)
    assert progress.states["confirmed"] > 0


async def test_the_last_one_is_sold_once(open_shop: Shopper) -> None:
    baskets = [Basket(f"race-{n}", "alice", (("scarce", 1),)) for n in range(5)]
    orders = await asyncio.gather(*(open_shop.place(basket) for basket in baskets))
    ends = [await final(open_shop, "alice", str(order["order_id"])) for order in orders]
    assert ends.count("confirmed") <= 1
    assert ends.count("rejected") >= 4 - ends.count("cancelled")


async def test_a_repeated_request_is_the_same_order(open_shop: Shopper, replay: Replay) -> None:
    basket = Basket("twice", "alice", replay.baskets[0].lines)
    first, second = await open_shop.place(basket), await open_shop.place(basket)
    assert first["order_id"] == second["order_id"]


async def test_the_same_key_with_another_body_is_refused(open_shop: Shopper, replay: Replay) -> None:
    await open_shop.place(Basket("reused", "alice", replay.baskets[0].lines))
    with pytest.raises(Refused) as refused:
        await open_shop.place(Basket("reused", "alice", (("scarce", 1),)))
    assert refused.value.status == 422


async def test_someone_elses_order_does_not_exist(open_shop: Shopper, replay: Replay) -> None:
    order = await open_shop.place(Basket("private", "alice", replay.baskets[0].lines))
    with pytest.raises(Refused) as refused:
        await open_shop.order("mallory", str(order["order_id"]))
    assert refused.value.status == 404


async def test_all_stores_agree_at_the_end(stack: Stack, open_shop: Shopper) -> None:
    assert open_shop.tokens
    result = await settled(stack.settings)
    assert result.findings == []
    assert result.snapshot.orders
    assert result.snapshot.windows
