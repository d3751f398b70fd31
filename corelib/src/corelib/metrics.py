"""Every metric of corelib, in one place: RED for HTTP and handlers, lag and throughput for outbox and consumers."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import INF, floatToGoString

_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Level:
    """A gauge that changes with every request but is looked at only by a scrape, so that a change takes no lock."""

    def __init__(self, gauge: Gauge) -> None:
        self.now = 0
        gauge.set_function(lambda: self.now)


class Observed:
    """What was observed under the same labels: how much fell in each bucket, and the sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.counts = [0] * len(bounds)
        self.sum = 0.0
        self._bounds = bounds

    def observe(self, amount: float) -> None:
        """Count it in the first bucket that holds it."""
        self.counts[bisect_left(self._bounds, amount)] += 1
        self.sum += amount


class Histogram(Collector):
    """A histogram that is filled on the event loop only, so that observing takes no lock.

    prometheus_client's own looks along all buckets under locks: it takes 1.7 µs of an event's 24.
    """

    def __init__(
        self,
        name: str,
        help_text: str,
        labels: Sequence[str],
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._named = (name, help_text)
        self._labels = labels
        self._bounds = (*buckets, INF)
        self._observed: dict[tuple[str, ...], Observed] = {}
        registry.register(self)

    def labels(self, *values: str) -> Observed:
        """Return what is observed under these labels; keep it where it is asked for often."""
        found = self._observed.get(values)
        if found is None:
            found = self._observed[values] = Observed(self._bounds)
        return found

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Tell a scrape."""
        family = HistogramMetricFamily(*self._named, labels=self._labels)
        names = [floatToGoString(bound) for bound in self._bounds]  # type: ignore[no-untyped-call]  # the library's own form
        for values, observed in self._observed.items():
            family.add_metric(values, list(zip(names, accumulate(observed.counts), strict=True)), observed.sum)
        yield family


HTTP_SECONDS = Histogram(
    "http_request_duration_seconds", "Time to answer.", ("method", "route", "status"), buckets=_LATENCY
)
HTTP_IN_FLIGHT = Level(Gauge("http_requests_in_flight", "Requests being answered."))

RELAYED = Counter("outbox_relayed_total", "Records acknowledged by the broker.", ("relay", "channel"))
RELAY_FAILURES = Counter("outbox_relay_failures_total", "Rounds that ended in an error.", ("relay",))
RELAY_ACTIVE = Gauge("outbox_relay_active", "1 while this process holds the relay's lease.", ("relay",))
RELAY_SHARDS = Gauge("outbox_relay_shards", "Shards of the outbox that are this process's share.", ("relay",))
OUTBOX_LAG = Gauge("outbox_lag_seconds", "Age of the oldest committed record not yet acknowledged.", ("relay",))

RELAY_STALLED = Gauge("outbox_relay_stalled", "1 while work waits and none was delivered for 10 s.", ("relay",))

EVENT_STAGE = Histogram(
    "event_stage_seconds", "Age of an event when it came to a stage.", ("stage",), buckets=(*_LATENCY, 30, 60, 300)
)
HANDLED = Counter("events_handled_total", "Events by outcome.", ("handler", "outcome"))
HANDLE_SECONDS = Histogram("event_handling_duration_seconds", "Time of one attempt.", ("handler",), buckets=_LATENCY)
EVENT_AGE = Histogram("event_age_seconds", "Time from commit to handled.", ("handler",), buckets=(*_LATENCY, 30, 60))
PARKED = Counter("events_parked_total", "Records parked.", ("handler",))
PARKED_NOW = Gauge("parked_records", "Records that are parked now.", ("handler",))
PARKED_OLDEST = Gauge("parked_oldest_seconds", "Time since the oldest of them was parked.", ("handler",))
REDELIVERED = Counter("events_redelivered_total", "Records that a queue gave out more than once.", ("channel",))
LOST = Counter("events_lost_total", "Records that were deleted from a topic before they were read.", ("channel",))
CONSUMER_LAG = Gauge("consumer_lag_records", "Records that wait on the broker.", ("channel",))
MAILBOXES = Gauge("actor_mailboxes", "Keys with work in hand.")

AWS_CALLS = Counter("aws_calls_total", "Calls to AWS, repetitions among them.", ("service", "operation"))

STREAM_BREAKS = Counter("dynamodb_stream_breaks_total", "Times that following a table's stream had to begin anew.")

TIMERS_FIRED = Counter("timers_fired_total", "Timers moved into the outbox.")
RESTARTS = Counter("part_restarts_total", "Restarts of parts that crashed or ended by themselves.", ("part",))


class HandlerMetrics:
    """One handler's metrics, looked up once: a look-up takes as long as counting."""

    def __init__(self, handler: str) -> None:
        self._seconds = HANDLE_SECONDS.labels(handler)
        self._age = EVENT_AGE.labels(handler)
        self._handled = EVENT_STAGE.labels("handled")
        self.outcomes = {
            outcome: HANDLED.labels(handler, outcome) for outcome in ("done", "duplicate", "retried", "parked")
        }

    def count(self, outcome: str, ages: Sequence[float], seconds: float) -> None:
        """Count what one transaction handled; the first event stands for it with the time it took, and for its stage.

        Ages and time are in seconds.
        """
        self.outcomes[outcome].inc(len(ages))
        self._seconds.observe(seconds)
        self._handled.observe(ages[0])
        for age in ages:
            self._age.observe(age)
