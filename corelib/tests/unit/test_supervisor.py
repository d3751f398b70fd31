"""The supervisor: what crashes is started again, what keeps crashing is given up, the rest goes on."""

import asyncio

import pytest
from structlog.testing import capture_logs
from tenacity import wait_fixed, wait_none

from corelib.errors import Conflict, EraChanged, LeaseLost, Unavailable
from corelib.supervisor import Supervisor
from corelib.testing.virtual_loop import VirtualLoop

REFUSED = Unavailable("sqs", "may not take from the queue")
TROUBLES = (REFUSED, Conflict("lost a race"), LeaseLost("another has it"), EraChanged("it was restored"))


class Part:
    """Crashes a number of times, then runs until told to stop."""

    def __init__(self, name: str, crashes: int, error: BaseException | None = None) -> None:
        self.name = name
        self.crashes = crashes
        self.error = error or ValueError(f"{name} crashes")
        self.runs = 0
        self.waits_for = ""
        self.steady = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        self.runs += 1
        if self.runs <= self.crashes:
            raise self.error
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


async def test_a_part_whose_work_another_cancelled_is_started_again() -> None:
    stop = asyncio.Event()
    part = Part("consumer", crashes=1, error=asyncio.CancelledError())
    running = asyncio.create_task(Supervisor([part], wait=wait_none()).run(stop))
    async with asyncio.timeout(10):
        await part.steady.wait()
    stop.set()
    await running
    assert part.runs == 2


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
    async with asyncio.timeout(10):
        while not part.runs:  # noqa: ASYNC110 -- the part counts, it has no event for a crash
            await asyncio.sleep(0)
        stop.set()
        await running
    assert part.runs == 1


def supervised(part: Part, *, seconds: float) -> Supervisor:
    """Run a part for so long, in virtual time; return who supervised it."""

    async def run() -> Supervisor:
        stop = asyncio.Event()
        supervisor = Supervisor([part])
        running = asyncio.create_task(supervisor.run(stop))
        await asyncio.sleep(seconds)
        stop.set()
        await running
        return supervisor

    return VirtualLoop(1).run(run())


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: type(trouble).__name__)
def test_trouble_of_a_store_or_broker_is_never_given_up_however_long_it_lasts(trouble: Exception) -> None:
    part = Part("timers", 1_000_000, trouble)
    assert not supervised(part, seconds=3_600).failed
    assert 360 < part.runs < 3_600  # a pause between two of a second at least, of ten at most, in the mean


def test_an_outage_that_ends_leaves_nothing_behind() -> None:
    part = Part("timers", crashes=100, error=REFUSED)
    supervisor = supervised(part, seconds=3_600)
    assert part.steady.is_set()
    assert not supervisor.waiting
    assert not supervisor.failed


def test_a_part_that_waits_says_why_from_the_second_time_on() -> None:
    once = Part("consumer-sqs", crashes=1, error=REFUSED)
    assert not supervised(once, seconds=1).waiting
    with capture_logs() as logs:
        told = supervised(Part("consumer-sqs", 1_000_000, REFUSED), seconds=60).waiting
    assert told == {"consumer-sqs": str(REFUSED)}
    assert {(each["log_level"], each["event"], each["reason"]) for each in logs} == {
        ("warning", "part waits for its store or broker", str(REFUSED))
    }


def test_a_part_that_waits_without_ending_says_why_itself() -> None:
    part = Part("relay-kafka", crashes=0)
    part.waits_for = str(REFUSED)
    supervisor = supervised(part, seconds=60)
    assert supervisor.waiting == {"relay-kafka": str(REFUSED)}
    part.waits_for = ""
    assert not supervisor.waiting


def test_crashes_between_troubles_still_count() -> None:
    class Torn(Part):
        async def run(self, _: asyncio.Event) -> None:
            self.runs += 1
            raise self.error if self.runs % 2 else ValueError("crashes")

    part = Torn("consumer", 0, REFUSED)
    assert supervised(part, seconds=3_600).failed == {"consumer"}


def test_a_part_that_takes_long_to_fail_waits_too() -> None:
    class Slow(Part):
        """As one that asks a broker for a quarter of a minute."""

        async def run(self, stop: asyncio.Event) -> None:
            await asyncio.sleep(15)
            await super().run(stop)

    def told(seconds: float) -> dict[str, str]:
        return supervised(Slow("consumer-kafka", crashes=10, error=REFUSED), seconds=seconds).waiting

    assert [bool(told(seconds)) for seconds in (15, 60, 75, 90, 110, 3_600)] == [False, True, True, True, True, False]
