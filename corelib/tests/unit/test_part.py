"""A part's rest ends with the event, with its time, and with the part."""

import asyncio

import pytest

from corelib.part import rest


async def test_a_rest_ends_with_its_time_or_with_the_event() -> None:
    event = asyncio.Event()
    assert not await rest(event, 0.01)
    event.set()
    assert await rest(event, 60)


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancellation_that_comes_together_with_the_event_is_not_lost(turns: int) -> None:
    """Wherever in the loop's turns it comes: what was not over yet is cancelled."""
    event = asyncio.Event()
    resting = asyncio.create_task(rest(event, 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    told = resting.cancel()
    await asyncio.wait([resting])
    assert resting.cancelled() == told
