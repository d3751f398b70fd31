"""W3C trace context from the HTTP request through outbox and broker to the last handler, by OpenTelemetry's API."""

import contextlib
import random
import re
from collections.abc import Iterator
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, ProxyTracerProvider, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from corelib.message import Envelope

EVENT: ContextVar[Envelope | None] = ContextVar("event", default=None)
"""The event in hand, if any."""
_PROPAGATOR = TraceContextTextMapPropagator()
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")


def current_traceparent() -> str | None:
    """Return the W3C `traceparent` of the current span, or None outside of one."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def trace_id() -> str | None:
    """Return the current trace's id in hex, or None outside of one."""
    current = trace.get_current_span().get_span_context()
    return f"{current.trace_id:032x}" if current.is_valid else None


def span(name: str, kind: SpanKind, traceparent: str | None) -> contextlib.AbstractContextManager[Span]:
    """Open a span below a remote parent; its trace id is on every log line within (see `corelib.logs`)."""
    if not _is_watched():
        return _Passed(traceparent)
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


def event_span(handler: str, envelope: Envelope) -> contextlib.AbstractContextManager[Any]:
    """Open the span in which a handler works on an event, to be used within `about`."""
    return _recorded(handler, envelope) if _is_watched() else _Passed(envelope.traceparent)


@contextlib.contextmanager
def _recorded(handler: str, envelope: Envelope) -> Iterator[None]:
    with span(handler, SpanKind.CONSUMER, envelope.traceparent) as current:
        current.set_attribute("messaging.message.id", str(envelope.id))
        current.set_attribute("cloudevents.event_type", envelope.type)
        yield


class _Passed:
    """A span that nobody looks at: it has ids to log and to hand on, at a fraction of the time of a recorded one."""

    __slots__ = ("_span", "_token")

    def __init__(self, traceparent: str | None) -> None:
        parent = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
        chance = random.getrandbits
        trace_id, flags = (int(parent[1], 16), int(parent[2], 16)) if parent else (chance(128), TraceFlags.SAMPLED)
        self._span = NonRecordingSpan(SpanContext(trace_id, chance(64), False, TraceFlags(flags)))

    def __enter__(self) -> Span:
        """Make it the current one."""
        self._token: Token[Context] = context.attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Go back to the one before."""
        context.detach(self._token)


def _is_watched() -> bool:
    """Return whether somebody looks at spans: the application has set up a provider of its own."""
    return not isinstance(trace.get_tracer_provider(), ProxyTracerProvider)
