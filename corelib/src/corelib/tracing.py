"""W3C trace context from the HTTP request through outbox and broker to the last handler, by OpenTelemetry's API."""

import contextlib
import random
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar, Token
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import ProxyTracerProvider, Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from corelib.message import Envelope

EVENT: ContextVar[Envelope | None] = ContextVar("event", default=None)
"""The event in hand, if any."""
EventOpener = Callable[[str, Envelope], contextlib.AbstractContextManager[Any]]
Opener = Callable[[str, SpanKind, str | None], contextlib.AbstractContextManager[Any]]
"""Opens a span of a name and kind, below a remote parent if there is one."""

_PROPAGATOR = TraceContextTextMapPropagator()
_TRACEPARENT = re.compile(r"00-((?!0{32})[0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")


def current_traceparent() -> str | None:
    """Return the W3C `traceparent` of the current span, or None outside of one."""
    if (passed := _PASSED.get()) is not None:
        return passed.traceparent()
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def trace_id() -> str | None:
    """Return the current trace's id in hex, or None outside of one."""
    found = _TRACEPARENT.fullmatch(current_traceparent() or "")
    return found[1] if found else None


def opener() -> Opener:
    """Return how spans are opened from now on; whoever asks does so once, and keeps it.

    Without a provider they are not recorded, only passed on. To ask for the provider takes longer than such a span, so
    that one set up later, when the service is built already, is not seen.
    """
    return _span if _is_watched() else _Passed


def _span(name: str, kind: SpanKind, traceparent: str | None) -> contextlib.AbstractContextManager[Span]:
    parent = _PROPAGATOR.extract({"traceparent": traceparent}) if traceparent else None
    return trace.get_tracer("corelib").start_as_current_span(name, context=parent, kind=kind)


class about:  # noqa: N801 -- used as a function is; a generator would take thrice the time, on each event
    """Put an event on every log line within (see `corelib.logs`)."""

    __slots__ = ("_envelope", "_token")

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope

    def __enter__(self) -> None:
        """Put it."""
        self._token: Token[Envelope | None] = EVENT.set(self._envelope)

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        EVENT.reset(self._token)


def event_opener() -> EventOpener:
    """Return how to open the span in which a handler works on an event, within `about`; asked for once, as `opener`."""
    return _recorded if _is_watched() else _passed


def _passed(handler: str, envelope: Envelope) -> "_Passed":
    return _Passed(handler, SpanKind.CONSUMER, envelope.traceparent)


@contextlib.contextmanager
def _recorded(handler: str, envelope: Envelope) -> Iterator[None]:
    with _span(handler, SpanKind.CONSUMER, envelope.traceparent) as current:
        current.set_attribute("messaging.message.id", str(envelope.id))
        current.set_attribute("cloudevents.event_type", envelope.type)
        yield


class _Passed:
    """A span that nobody looks at: it has ids to log and to hand on, made when somebody wants them."""

    __slots__ = ("_outer", "_own", "_remote")

    def __init__(self, _name: str, _kind: SpanKind, remote: str | None) -> None:
        self._remote = remote
        self._own: str | None = None

    def __enter__(self) -> None:
        """Make it the current one."""
        self._outer: Token[_Passed | None] = _PASSED.set(self)

    def __exit__(self, *_: object) -> None:
        """Go back to the one before."""
        _PASSED.reset(self._outer)

    def traceparent(self) -> str:
        """Return what to hand on: the remote parent's trace, or a new one."""
        if self._own is None:
            parent = _TRACEPARENT.fullmatch(self._remote) if self._remote else None
            trace, flags = parent.groups() if parent else (_drawn(128), "01")
            self._own = f"00-{trace}-{_drawn(64)}-{flags}"
        return self._own


_PASSED: ContextVar[_Passed | None] = ContextVar("passed", default=None)


def _drawn(bits: int) -> str:
    """Draw an id in hex; W3C has 0 for no id."""
    return f"{random.randrange(1, 1 << bits):0{bits // 4}x}"  # noqa: S311 -- ids, not secrets


def _is_watched() -> bool:
    """Return whether somebody looks at spans: the application has set up a provider of its own."""
    return not isinstance(trace.get_tracer_provider(), ProxyTracerProvider)
