"""A part's rest ends with the event, with its time, and with the part; its work soon after it is told to stop."""

import asyncio

import pytest

from corelib.part import ends_soon_after, rest


async def test_a_rest_ends_with_its_time_or_with_the_event() -> None:
    event = asyncio.Event()
    assert not await rest(event, 0.01)
    event.set()
    assert await rest(event, 60)


async def test_what_waits_for_something_that_is_away_ends_soon_after_the_stop() -> None:
    stop, ended = asyncio.Event(), False
    async with ends_soon_after(stop, seconds=0.01):
        stop.set()
        await asyncio.Event().wait()
        ended = True
    assert not ended


async def test_what_ends_by_itself_ends_as_it_does() -> None:
    stop = asyncio.Event()
    async with ends_soon_after(stop, seconds=0):
        pass
    with pytest.raises(TimeoutError, match="its own"):
        await _fail_behind(stop)


async def _fail_behind(stop: asyncio.Event) -> None:
    async with ends_soon_after(stop, seconds=60):
        stop.set()
        raise TimeoutError("its own")


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
