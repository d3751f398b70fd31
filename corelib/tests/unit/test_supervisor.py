"""The supervisor: what crashes is started again, what keeps crashing is given up, the rest goes on."""

import asyncio

import pytest
from tenacity import wait_fixed, wait_none

from corelib.supervisor import Supervisor


class Part:
    """Crashes a number of times, then runs until told to stop."""

    def __init__(self, name: str, crashes: int) -> None:
        self.name = name
        self.crashes = crashes
        self.runs = 0
        self.steady = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        self.runs += 1
        if self.runs <= self.crashes:
            raise ValueError(f"{self.name} crashes")
        self.steady.set()
        await stop.wait()


class Quitter(Part):
    """Ends by itself, without a word, instead of crashing."""

    async def run(self, stop: asyncio.Event) -> None:
        if self.runs < self.crashes:
            self.runs += 1
            return
        await super().run(stop)


@pytest.mark.parametrize("kind", [Part, Quitter])
async def test_a_part_that_ends_is_started_again(kind: type[Part]) -> None:
    stop = asyncio.Event()
    part = kind("relay", crashes=3)
    supervisor = Supervisor([part], wait=wait_none())
    running = asyncio.create_task(supervisor.run(stop))
    async with asyncio.timeout(10):
        await part.steady.wait()
    stop.set()
    await running
    assert part.runs == 4
    assert not supervisor.failed


async def test_a_part_that_keeps_crashing_is_given_up_and_the_others_run_on() -> None:
    stop = asyncio.Event()
    broken, sound = Part("consumer", crashes=1_000), Part("relay", crashes=0)
    supervisor = Supervisor([broken, sound], most_crashes=5, wait=wait_none())
    running = asyncio.create_task(supervisor.run(stop))
    async with asyncio.timeout(10):
        while not supervisor.failed:  # noqa: ASYNC110 -- the supervisor has a set, no event
            await asyncio.sleep(0)
    assert (broken.runs, supervisor.failed) == (5, {"consumer"})
    assert sound.steady.is_set()
    assert not running.done()
    stop.set()
    await running


async def test_stop_ends_the_wait_before_the_next_start() -> None:
    stop = asyncio.Event()
    part = Part("timers", crashes=1)
    running = asyncio.create_task(Supervisor([part], wait=wait_fixed(3_600)).run(stop))
    while not part.runs:  # noqa: ASYNC110 -- the part counts, it has no event for a crash
        await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(10):
        await running
    assert part.runs == 1
