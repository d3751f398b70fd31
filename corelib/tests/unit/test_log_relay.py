"""How much the relay between two logs asks for, without servers."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from corelib.broker import Outgoing
from corelib.errors import Unavailable
from corelib.headers import SMALL
from corelib.memory.store import Memory
from corelib.relay.log_relay import LogRelay
from corelib.store import Chunk


class Backlog:
    """A source that always has as many rows as it is asked for."""

    def __init__(self) -> None:
        self.limits: list[int] = []

    async def acquire(self, _: str) -> bool:
        return True

    async def read(self, limit: int) -> Chunk:
        self.limits.append(limit)
        return Chunk([Outgoing("c", "k", 0, SMALL[0], b"{}")] * limit, len(self.limits), b"", more=True)

    async def passed(self, _: object) -> None:
        """Nothing to move."""

    async def lag_seconds(self) -> float:
        return 1.0

    async def release(self) -> None:
        """Nothing to give up."""


class SlowSink:
    """Takes some chunks, then none in time, then stops the relay."""

    keeps_receipts = True

    def __init__(self, stop: asyncio.Event) -> None:
        self.sent: list[int] = []
        self._stop = stop

    async def begin(self) -> bytes | None:
        return None

    async def send(self, rows: Sequence[Outgoing], receipt: bytes) -> None:  # noqa: ARG002 -- the protocol's
        self.sent.append(len(rows))
        if len(self.sent) == 4:
            raise Unavailable("kafka", "too slow")

    async def commit(self) -> None:
        if len(self.sent) > 4:
            self._stop.set()

    async def close(self) -> None:
        """Nothing is open."""


async def test_chunks_grow_with_the_backlog_and_begin_small_after_a_failure() -> None:
    stop = asyncio.Event()
    source: Any = Backlog()
    sink, store = SlowSink(stop), Memory()
    await LogRelay(source, sink, store.committed(), store.parking).run(stop)
    *growing, after = sink.sent
    assert growing == sorted(set(growing))
    assert after == growing[0]


class FlakySink(SlowSink):
    """Fails each second time."""

    async def send(self, rows: Sequence[Outgoing], receipt: bytes) -> None:  # noqa: ARG002 -- the protocol's
        self.sent.append(len(rows))
        if len(self.sent) % 2:
            raise Unavailable("kafka", "flaky")

    async def commit(self) -> None:
        if len(self.sent) >= 20:
            self._stop.set()


async def test_a_failure_after_a_success_is_waited_for_as_the_first_one_was(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []

    def pause(_: object, attempt: int) -> float:
        waited.append(attempt)
        return 0.0

    monkeypatch.setattr("corelib.relay.rounds.pause_of", pause)
    stop = asyncio.Event()
    source: Any = Backlog()
    store = Memory()
    await LogRelay(source, FlakySink(stop), store.committed(), store.parking).run(stop)
    assert waited == [1] * 10


class ShutSink(SlowSink):
    """Takes nothing, or one chunk after so many failures; keeps what its relay has said each time."""

    def __init__(self, stop: asyncio.Event, *, failures: int) -> None:
        super().__init__(stop)
        self.relay: LogRelay | None = None
        self.told: list[str] = []
        self._failures = failures

    async def send(self, rows: Sequence[Outgoing], receipt: bytes) -> None:  # noqa: ARG002 -- the protocol's
        assert self.relay is not None
        self.told.append(self.relay.waits_for)
        if len(self.told) <= self._failures:
            raise Unavailable("kafka", "no right to it")

    async def commit(self) -> None:
        if len(self.told) == self._failures + 2:
            self._stop.set()


async def test_a_relay_that_is_refused_says_why_from_the_second_time_on_until_it_delivers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("corelib.relay.rounds.pause_of", lambda *_: 0.0)
    stop = asyncio.Event()
    source: Any = Backlog()
    sink, store = ShutSink(stop, failures=3), Memory()
    sink.relay = LogRelay(source, sink, store.committed(), store.parking)
    await sink.relay.run(stop)
    refused = "kafka is unavailable: no right to it"
    assert sink.told == ["", "", refused, refused, ""]
