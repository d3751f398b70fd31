"""Trace context, with a provider of spans and without."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags

from corelib.tracing import current_traceparent, opener, trace_id

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-00"


def test_without_a_provider_a_span_goes_on_with_the_trace_it_was_given() -> None:
    with opener()("a request", SpanKind.SERVER, PARENT):
        handed_on = current_traceparent()
        assert handed_on == current_traceparent()
        assert trace_id() == TRACE
    assert handed_on is not None
    assert handed_on.startswith(f"00-{TRACE}-")
    assert handed_on.endswith("-00"), "whoever sampled it decides"
    assert "b7ad6b7169203331" not in handed_on, "a span has an id of its own"


@pytest.mark.parametrize("parent", [None, "", "nonsense", f"00-{'0' * 32}-b7ad6b7169203331-01", PARENT.upper()])
def test_without_a_valid_parent_a_trace_begins(parent: str | None) -> None:
    begun = set()
    for _ in range(2):
        with opener()("a request", SpanKind.SERVER, parent):
            begun.add(trace_id())
    assert len(begun - {None, TRACE, "0" * 32}) == 2


def test_a_span_within_another_ends_before_it() -> None:
    open_span = opener()
    with open_span("outer", SpanKind.SERVER, None):
        outer = current_traceparent()
        with open_span("inner", SpanKind.CONSUMER, PARENT):
            assert trace_id() == TRACE
        assert current_traceparent() == outer
    assert current_traceparent() is trace_id() is None


class Provider(trace.TracerProvider):
    """Keeps the names of the spans that it was asked for."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
        return Tracer(self)


class Tracer(trace.Tracer):
    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def start_span(self, name: str, context: Any = None, *_: Any, **__: Any) -> Span:
        self._provider.opened.append(name)
        parent = trace.get_current_span(context).get_span_context()
        return NonRecordingSpan(SpanContext(parent.trace_id or 7, 9, False, TraceFlags(TraceFlags.SAMPLED)))

    @contextlib.contextmanager
    def start_as_current_span(self, name: str, context: Any = None, *_: Any, **__: Any) -> Iterator[Span]:  # type: ignore[override]  # the API's own decorator has no public type
        with trace.use_span(self.start_span(name, context)) as span:
            yield span


def test_with_a_provider_its_spans_are_opened_and_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    with opener()("a request", SpanKind.SERVER, PARENT):
        assert current_traceparent() == f"00-{TRACE}-0000000000000009-01"
        assert trace_id() == TRACE
    assert provider.opened == ["a request"]
