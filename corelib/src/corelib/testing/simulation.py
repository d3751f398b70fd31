"""Deterministic simulation: real relay, consumer, timers and handlers, on a seeded loop, through drawn faults.

    class Transfers(Scenario):
        publishes = (Ordered, Paid)
        tables = (ACCOUNTS,)

        def actors(self, node=None):
            return (Bank(),)

        async def drive(self, world):
            await world.request(order, key="1")

        def check(self, world):
            assert sum(account["money"] for account in world.database.items("accounts")) == 100

    def test_no_money_is_lost_whatever_happens() -> None:
        explore(Transfers, range(1_000))

A failure names its seed, and the same seed does the same again: `python -m corelib.testing.simulation
my_tests:Transfers --seed 42` prints what happened. Nothing in a scenario may ask the real clock, draw at random other
than from `world.random`, or do real I/O. See docs/testing.md.
"""

import argparse
import asyncio
import gc
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from pkgutil import resolve_name

import structlog
import tenacity.wait
from rich.console import Console
from rich.progress import track

from corelib.ids import made_by
from corelib.testing.chaos import Chaos
from corelib.testing.ledger import PromiseBroken
from corelib.testing.scenario import Scenario
from corelib.testing.virtual_loop import VirtualLoop
from corelib.testing.weather import EPOCH
from corelib.testing.world import Node, World

_SCENARIO = "corelib.testing.scenarios:Ledger"
_ID_BITS = 74
_LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Outcome:
    """A schedule that went well, or `failure` says why not. `digest` is equal for equal happenings."""

    seed: int
    failure: BaseException | None
    trace: list[tuple[float, str, str, str]]
    digest: str
    steps: int


class Failed(AssertionError):
    """Raised for a schedule that broke a promise; says how to see it again."""

    def __init__(self, scenario: str, outcome: Outcome) -> None:
        again = f"python -m corelib.testing.simulation {scenario} --seed {outcome.seed}"
        super().__init__(f"seed {outcome.seed}: {outcome.failure!r}\nSee it again: {again}")
        self.outcome = outcome


def simulate(scenario: Callable[[], Scenario], seed: int) -> Outcome:
    """Run one schedule."""
    loop = VirtualLoop(seed)
    with _quiet(), _drawn_from(loop):
        world = World(scenario(), loop)
        failure = _judge(world)
    trace = world.weather.trace
    digest = blake2b(repr(trace).encode(), digest_size=16).hexdigest()
    return Outcome(seed, failure, trace, digest, loop.steps)


def explore(scenario: Callable[[], Scenario], seeds: Iterable[int]) -> int:
    """Run many schedules; return how many. Raises `Failed` at the first that breaks a promise."""
    count = 0
    for count, seed in enumerate(seeds, 1):  # noqa: B007 -- the last number is wanted
        outcome = simulate(scenario, seed)
        if outcome.failure is not None:
            raise Failed(_name_of(scenario), outcome) from outcome.failure
    return count


def _judge(world: World) -> BaseException | None:
    try:
        world.loop.run(_play(world))
        world.ledger.check(skew=timedelta(seconds=2 * world.scenario.skew_seconds))
        world.ledger.check_topics(world.cluster, once=world.scenario.sends_once())
        world.scenario.check(world)
    except TimeoutError:
        return PromiseBroken(f"it did not come to an end: {'; '.join(world.ledger.owed()) or 'the scenario waits'}")
    except Exception as error:  # noqa: BLE001 -- whatever a schedule ends with is its outcome
        return error
    return None


async def _play(world: World) -> None:
    """Let the scenario drive its nodes through bad weather, then wait in good weather until all is done."""
    scenario, chaos = world.scenario, Chaos(world)
    world.nodes.extend(Node(world, place, 1) for place in range(scenario.replicas))
    chaos.start()
    async with asyncio.timeout(scenario.seconds):
        await scenario.drive(world)
        await chaos.end()
        while not (world.ledger.settled() and scenario.settled(world)):
            world.replace_failed()
            await asyncio.sleep(_LOOK_SECONDS)
    for node in world.nodes:
        node.kill()


@contextmanager
def _quiet() -> Iterator[None]:
    """Say nothing of the many errors that are meant to happen."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


@contextmanager
def _drawn_from(loop: VirtualLoop) -> Iterator[None]:
    """Let ids and the jitter of retries come from the seed, and nothing depend on when garbage is collected."""
    random, collecting = loop.random, gc.isenabled()
    gc.disable()
    waits = vars(tenacity.wait)
    jitter, waits["random"] = waits["random"], random  # the module asks its `random` for uniform() only
    start = int(EPOCH.timestamp() * 1_000)
    try:
        with made_by(lambda: (start + int(loop.time() * 1_000), random.getrandbits(_ID_BITS))):
            yield
    finally:
        waits["random"] = jitter
        if collecting:
            gc.enable()


def _name_of(scenario: Callable[[], Scenario]) -> str:
    return f"{scenario.__module__}:{getattr(scenario, '__qualname__', scenario)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run schedules from the command line; return its exit code."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m corelib.testing.simulation", description=__doc__, formatter_class=form)
    parser.add_argument("scenario", nargs="?", default=_SCENARIO, help="module:Class [%(default)s]")
    parser.add_argument("--seed", type=int, help="run this one, and print what happened")
    parser.add_argument("-n", "--schedules", type=int, default=1_000, help="how many [%(default)s]")
    parser.add_argument("--start", type=int, default=0, help="the first seed [%(default)s]")
    options = parser.parse_args(arguments)
    try:
        scenario: Callable[[], Scenario] = resolve_name(options.scenario)
    except (ValueError, ImportError, AttributeError) as error:
        parser.error(f"no scenario {options.scenario!r}: {error}")
    if options.seed is not None:
        return _show(simulate(scenario, options.seed))
    seeds = range(options.start, options.start + options.schedules)
    # A bar where somebody looks, nothing elsewhere.
    bar = track(seeds, "schedules", console=(console := Console(stderr=True)), disable=not console.is_terminal)
    try:
        count = explore(scenario, bar)
    except Failed as failed:
        print(failed)  # noqa: T201 -- a command line speaks
        return 1
    print(f"{count} schedules of {options.scenario} kept every promise.")  # noqa: T201 -- as above
    return 0


def _show(outcome: Outcome) -> int:
    for time, who, what, how in outcome.trace:
        print(f"{time:10.4f}  {who:10} {what:16} {how}")  # noqa: T201 -- as above
    print(f"seed {outcome.seed}, digest {outcome.digest}: {outcome.failure or 'every promise was kept'}")  # noqa: T201 -- as above
    return int(outcome.failure is not None)


if __name__ == "__main__":
    raise SystemExit(main())
