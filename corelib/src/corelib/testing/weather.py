"""How the simulated network is: how long requests take, how many get lost, who is cut off from whom."""

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Protocol, TypeVar

from corelib.errors import Unavailable

T = TypeVar("T")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_USUAL_SECONDS = 0.001
_PATIENCE_SECONDS = 1.0
_LATE_SHARE = 0.3
_AT_ONCE_SHARE = 0.5
_DAWDLE_SHARE = 0.3
_STAGES = ("leaving", "done", "answered")


@dataclass
class SimulatedClock:
    """A clock on the loop's time, off by `skew`."""

    skew: timedelta = timedelta(0)

    def now(self) -> datetime:
        """Return the time as this clock shows it."""
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time()) + self.skew


class Client(Protocol):
    """A process that sends requests."""

    name: str
    alive: bool
    frozen: bool


@dataclass
class Weather:
    """What may happen to a request. `trace` keeps what did, for a seed's failure to be read."""

    random: Random
    lost: float = 0.0
    slow: float = 0.0
    cut: set[tuple[str, str]] = field(default_factory=set)
    trace: list[tuple[float, str, str, str]] = field(default_factory=list)
    outside: Context = field(default_factory=copy_context)
    kinds: dict[str, None] = field(default_factory=dict)
    _ambushes: dict[str, tuple[str, Callable[[Any], None]]] = field(default_factory=dict)

    def calm(self) -> None:
        """Let nothing more go wrong."""
        self.lost = self.slow = 0.0
        self.cut.clear()
        self._ambushes.clear()

    def ambush(self, strike: Callable[[Any], None]) -> None:
        """Strike whoever makes the next request of some kind: every kind is as likely, however rare its requests."""
        kind = self.random.choice(list(self.kinds))
        self._ambushes[kind] = (self.random.choice(_STAGES), strike)

    def pass_by(self, client: Client, kind: str, stage: str) -> None:
        """Say where a request is; who lies in ambush there strikes."""
        found = self._ambushes.get(kind)
        if found is not None and found[0] == stage:
            del self._ambushes[kind]
            self.note(client.name, kind, f"ambush: {stage}")
            found[1](client)

    def note(self, who: str, what: str, outcome: str) -> None:
        """Keep what happened."""
        self.trace.append((asyncio.get_running_loop().time(), who, what, outcome))

    def seconds(self) -> float:
        """Return how long the next request is under way."""
        if self.slow and self.random.random() < self.slow:
            return self.random.uniform(0.0, 2.0)
        return self.random.uniform(0.0, _USUAL_SECONDS)

    def loses(self, client: Client, server: str) -> bool:
        """Tell whether what is now sent between them is lost."""
        return (client.name, server) in self.cut or (self.lost > 0.0 and self.random.random() < self.lost)


class Wire:
    """Implements `Link`: requests take time and get lost, or their answers do; a killed client sends nothing more."""

    def __init__(self, weather: Weather, client: Client, server: str) -> None:
        self._weather = weather
        self._client = client
        self._server = server

    async def call(self, what: str, work: Callable[[], T]) -> T:
        """Send a request. `Unavailable` says nothing of whether it was done."""
        self._require_alive()
        loop, weather = asyncio.get_running_loop(), self._weather
        weather.kinds.setdefault(what)
        weather.pass_by(self._client, what, "leaving")
        if weather.random.random() < _DAWDLE_SHARE or not self._client.alive or self._client.frozen:
            # Not yet on its way: a client can die or freeze with a request in hand.
            await asyncio.sleep(weather.seconds())
            self._require_alive()
        if weather.loses(self._client, self._server):
            weather.note(self._client.name, what, "lost")
            await asyncio.sleep(weather.random.uniform(0.0, _PATIENCE_SECONDS))
            raise Unavailable(self._server, "the request was lost")
        answer: asyncio.Future[T] = loop.create_future()
        # Under way, it does not care what becomes of its sender.
        loop.call_later(weather.seconds(), self._arrive, what, work, answer, context=weather.outside.copy())
        return await answer

    def drop(self, work: Callable[[], object]) -> None:
        """Have the server notice sooner or later that this client has gone."""
        late = self._weather.random.random() < _LATE_SHARE
        seconds = self._weather.random.uniform(0.0, 5.0) if late else self._weather.seconds()
        asyncio.get_running_loop().call_later(seconds, work, context=self._weather.outside.copy())

    def _require_alive(self) -> None:
        if not self._client.alive:
            raise asyncio.CancelledError

    def _arrive(self, what: str, work: Callable[[], T], answer: "asyncio.Future[T]") -> None:
        weather = self._weather
        if not self._client.alive and weather.random.random() < 1 / 2:
            weather.note(self._client.name, what, "never sent")
            return
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 -- the server's answer
            refusal = error  # the name `error` ends with its block
            weather.note(self._client.name, what, type(error).__name__)
            self._answer(what, answer, lambda: answer.set_exception(refusal))
            return
        weather.note(self._client.name, what, "done")
        weather.pass_by(self._client, what, "done")
        self._answer(what, answer, lambda: answer.set_result(result))

    def _answer(self, what: str, answer: "asyncio.Future[T]", give: Callable[[], None]) -> None:
        weather = self._weather

        def arrive() -> None:
            if not answer.done():
                give()
                weather.pass_by(self._client, what, "answered")

        if weather.loses(self._client, self._server):
            weather.note(self._client.name, what, "no answer")
            give = lambda: answer.set_exception(Unavailable(self._server, "no answer came"))  # noqa: E731
            seconds = weather.random.uniform(0.0, _PATIENCE_SECONDS)
        elif weather.random.random() < _AT_ONCE_SHARE:
            arrive()
            return
        else:
            seconds = weather.seconds()
        asyncio.get_running_loop().call_later(seconds, arrive, context=weather.outside.copy())
