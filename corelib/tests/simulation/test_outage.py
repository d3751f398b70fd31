"""An outage of an hour, in virtual time: every kind of part waits, none is given up, and all goes on when it ends."""

import asyncio
from typing import ClassVar

import pytest

from corelib.broker import Delivery, Subscription
from corelib.memory.broker import MemoryBroker
from corelib.memory.cluster import Cluster
from corelib.memory.link import Link
from corelib.memory.subscription import MemorySubscription
from corelib.message import Channel
from corelib.testing.scenario import Scenario
from corelib.testing.scenarios import Ledger
from corelib.testing.simulation import explore
from corelib.testing.world import World

HOUR = 3_600.0


class Brittle(MemorySubscription):
    """Ends with the trouble of its broker, as real ones do."""

    async def _fetch(self) -> list[Delivery]:
        await self._link.call("poll", lambda: None)
        return await super()._fetch()


class BrittleBroker(MemoryBroker):
    def subscribe(self, group: str, channels: list[Channel]) -> Subscription:  # type: ignore[override]
        return Brittle(self.cluster, self._link, group, channels, f"{self._client}-{next(self.cluster.members)}")


class Outage(Ledger):
    """While timers are set and events written, the servers of `lost` are away for an hour."""

    faults: ClassVar[int] = 0
    seconds: ClassVar[float] = 2 * HOUR
    lost: ClassVar[tuple[str, ...]] = ("store", "broker")

    def broker(self, cluster: Cluster, link: Link, client: str) -> MemoryBroker:
        return BrittleBroker(cluster, link=link, client=client, exactly_once=self.exactly_once)

    async def drive(self, world: World) -> None:
        await asyncio.gather(super().drive(world), self._outage(world))

    async def _outage(self, world: World) -> None:
        await asyncio.sleep(world.random.uniform(0.0, 3.0))
        world.weather.cut |= {(node.name, server) for node in world.nodes for server in self.lost}
        await asyncio.sleep(HOUR)
        for node in world.nodes:
            assert node.supervisor is not None
            assert not node.supervisor.failed
            assert "timers" in node.supervisor.waiting or "store" not in self.lost
        world.weather.calm()

    def check(self, world: World) -> None:
        super().check(world)
        assert [node.life for node in world.nodes] == [1] * self.replicas


class WithoutStore(Outage):
    lost: ClassVar[tuple[str, ...]] = ("store",)


class WithoutBroker(Outage):
    lost: ClassVar[tuple[str, ...]] = ("broker",)


class AtLeastOnce(Outage):
    exactly_once: ClassVar[bool] = False


@pytest.mark.timeout(600)  # hours of virtual time are minutes of a busy machine's
@pytest.mark.parametrize("scenario", [Outage, WithoutStore, WithoutBroker, AtLeastOnce])
def test_an_hour_without_servers_ends_no_part_and_loses_nothing(scenario: type[Scenario]) -> None:
    explore(scenario, range(2))
