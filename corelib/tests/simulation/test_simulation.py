"""Corelib's promises under a thousand drawn schedules, and the simulation's own: a seed says it all."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest

from corelib.actor import Actor, receive
from corelib.memory.transaction import MemoryTransaction
from corelib.message import Event
from corelib.testing.scenario import Scenario
from corelib.testing.scenarios import ECHOES, NOTES, Ledger, LedgerAtLeastOnce, Noted
from corelib.testing.simulation import Failed, explore, main, simulate
from corelib.testing.virtual_loop import Stuck, VirtualLoop
from corelib.testing.world import Node, World


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("scenario", "seeds"), [(Ledger, range(700)), (LedgerAtLeastOnce, range(300))])
def test_every_promise_is_kept_whatever_happens(scenario: type[Scenario], seeds: Sequence[int]) -> None:
    assert explore(scenario, seeds) == len(seeds)


def test_a_seed_does_the_same_in_every_process() -> None:
    """String hashes differ between them, and with them the order of sets."""

    def digests(hash_seed: str) -> str:
        code = (
            "from corelib.testing.simulation import simulate; from corelib.testing.scenarios import Ledger;"
            "print([simulate(Ledger, seed).digest for seed in range(8)])"
        )
        environment = {"PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        ).stdout

    here = str([simulate(Ledger, seed).digest for seed in range(8)]) + "\n"
    assert digests("1") == digests("2") == here


def test_seeds_differ() -> None:
    assert len({simulate(Ledger, seed).digest for seed in range(8)}) == 8


class Forgetful(Scenario):
    """Handles nothing of what it publishes twice."""

    publishes: ClassVar[Sequence[type[Event]]] = (Noted,)
    faults: ClassVar[int] = 0

    def __init__(self) -> None:
        self.heard: list[int] = []

    def actors(self, _: Node | None = None) -> Sequence[Actor]:
        @dataclass(frozen=True)
        class Ear(Actor):
            heard: list[int]

            @receive
            async def noted(self, event: Noted, _: MemoryTransaction) -> None:
                self.heard.append(event.number)

        return (Ear(self.heard),)

    async def drive(self, world: World) -> None:
        async def write(tx: MemoryTransaction) -> None:
            tx.publish(Noted(name="a", number=7))

        await world.request(write, key="1")

    def check(self, _: World) -> None:
        assert self.heard == [8]


def test_a_failure_names_its_seed_and_how_to_see_it_again() -> None:
    with pytest.raises(Failed, match=r"seed 3: .*\nSee it again: .*:Forgetful --seed 3"):
        explore(Forgetful, [3])


def test_the_command_explores_and_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-n", "2"]) == 0
    assert capsys.readouterr().out == "2 schedules of corelib.testing.scenarios:Ledger kept every promise.\n"
    assert main(["--seed", "1"]) == 0
    assert capsys.readouterr().out.endswith(": every promise was kept\n")


def test_the_command_fails_with_the_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"{__name__}:Forgetful", "-n", "1", "--start", "3"]) == 1
    assert capsys.readouterr().out.startswith("seed 3: ")


@pytest.mark.parametrize("scenario", ["no_such_module:Ledger", "corelib.testing.scenarios:Nix", "not a name"])
def test_the_command_refuses_what_is_no_scenario(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([scenario])
    assert f"no scenario {scenario!r}: " in capsys.readouterr().err


async def _sleeper(log: list[str], name: str, seconds: float) -> None:
    await asyncio.sleep(seconds)
    log.append(name)


def test_time_jumps_to_the_next_timer() -> None:
    async def main() -> tuple[list[str], float]:
        log: list[str] = []
        await asyncio.gather(_sleeper(log, "later", 3_600), _sleeper(log, "soon", 60))
        return log, asyncio.get_running_loop().time()

    assert VirtualLoop(1).run(main()) == (["soon", "later"], 3_600.0)


def test_what_is_ready_runs_in_an_order_drawn_from_the_seed() -> None:
    async def main() -> str:
        log: list[str] = []
        await asyncio.gather(*(_sleeper(log, name, 0) for name in "abcd"))
        return "".join(log)

    orders = [VirtualLoop(seed).run(main()) for seed in range(20)]
    assert len(set(orders)) > 5
    assert orders == [VirtualLoop(seed).run(main()) for seed in range(20)]


def test_asyncio_works_on_it() -> None:
    async def main() -> list[object]:
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        lock = asyncio.Lock()

        async def produce() -> None:
            for number in range(3):
                async with lock:
                    await queue.put(number)

        task = asyncio.create_task(produce())
        taken = [await queue.get() for _ in range(3)]
        await task
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        return [taken, asyncio.get_running_loop().time()]

    assert VirtualLoop(1).run(main()) == [[0, 1, 2], 10.0]


def test_waiting_for_what_can_never_come_is_said() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck):
        VirtualLoop(1).run(main())


def test_the_scenario_uses_every_kind_of_handler() -> None:
    assert {route.is_effect for route in Ledger().routes()} == {True, False}
    assert Ledger().channels() == [ECHOES, NOTES]
