"""W3C trace context from the HTTP request through outbox and broker to the last handler, by OpenTelemetry's API."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from corelib.message import Envelope

EVENT: ContextVar[Envelope | None] = ContextVar("event", default=None)
"""The event in hand, if any."""
_PROPAGATOR = TraceContextTextMapPropagator()


def configure() -> None:
    """Give spans real ids even where nothing exports them; an application's own provider is left alone."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))


def current_traceparent() -> str | None:
    """Return the W3C `traceparent` of the current span, or None outside of one."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def trace_id() -> str | None:
    """Return the current trace's id in hex, or None outside of one."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


@contextlib.contextmanager
def span(name: str, kind: SpanKind, traceparent: str | None) -> Iterator[Span]:
    """Open a span below a remote parent, and put its trace id on every log line within."""
    parent = _PROPAGATOR.extract({"traceparent": traceparent}) if traceparent else None
    tracer = trace.get_tracer("corelib")
    with (
        tracer.start_as_current_span(name, context=parent, kind=kind) as current,
        structlog.contextvars.bound_contextvars(trace_id=f"{current.get_span_context().trace_id:032x}"),
    ):
        yield current


@contextlib.contextmanager
def about(envelope: Envelope) -> Iterator[None]:
    """Put an event on every log line within (see `corelib.logs`)."""
    token = EVENT.set(envelope)
    try:
        yield
    finally:
        EVENT.reset(token)


@contextlib.contextmanager
def event_span(handler: str, envelope: Envelope) -> Iterator[None]:
    """Open the span in which a handler works on an event, and put both on every log line within."""
    with about(envelope), span(handler, SpanKind.CONSUMER, envelope.traceparent) as current:
        current.set_attribute("messaging.message.id", str(envelope.id))
        current.set_attribute("cloudevents.event_type", envelope.type)
        yield
