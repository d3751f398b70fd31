"""What is parked, and what can be done about it: tried again, or only skipped, now or in some days."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from corelib.doctor.finding import Case, Finding, problem, span, warning
from corelib.parking import MALFORMED, RELAY
from corelib.relay.parking import relay_of
from corelib.service import Service
from corelib.store import Queue

_AHEAD = timedelta(days=4)
"""For so long before something can only be skipped it is told that it will be."""
_LONGEST_REASON = 200
_RETRY = "See `corelib parked list`; mend the cause, then `corelib parked retry`, or skip what cannot be mended."
_SKIP = "See with `corelib parked show` what is to be done by hand, then `corelib parked skip`: the audit keeps it."


async def parked(case: Case) -> Sequence[Finding]:
    """Name the handlers and relays that could not take something, with the first reason of each."""
    handlers: dict[str, list[Queue]] = {}
    for queue in await case.service.store.parking.queues():
        handlers.setdefault(queue.handler, []).append(queue)
    return [finding for name, queues in sorted(handlers.items()) for finding in _judge(case.service, name, queues)]


def _judge(service: Service, handler: str, queues: Sequence[Queue]) -> Iterator[Finding]:
    about = f"handler {handler}"
    if hopeless := _hopeless(service, handler):
        yield problem(about, _told(queues, hopeless), _SKIP)
        return
    remember, now = service.origin.remember, service.clock.now()
    late = [queue for queue in queues if _time(queue) < now - remember]
    if handler.startswith(RELAY):
        yield problem(about, _told(queues), _RETRY)
        if late:
            what = f"{len(late)} of these keys begin with an event older than inboxes remember ({remember.days} days):"
            yield warning(about, f"{what} it can be sent, and its consumers park it as well", _SKIP)
        return
    if fresh := [queue for queue in queues if queue not in late]:
        yield problem(about, _told(fresh), _RETRY)
        yield from _soon(about, [left for queue in fresh if (left := _time(queue) + remember - now) < _AHEAD])
    if late:
        yield problem(about, _told(late, f" and older than inboxes remember ({remember.days} days)"), _SKIP)


def _hopeless(service: Service, handler: str) -> str:
    """Say why nothing of a handler's can ever be taken; empty where it may."""
    if handler == MALFORMED:
        return " and are no events that anybody could read"
    if handler.startswith(RELAY):
        return "" if relay_of(handler) in service.brokers else " by a relay that the service does not have"
    there = any(route.name == handler for route in service.routes)
    return "" if there else " for a handler that the service does not have"


def _soon(about: str, left: Sequence[timedelta]) -> Iterator[Finding]:
    if left:
        what = (
            f"in {span(min(left).total_seconds())} the first of {len(left)} keys can only be skipped: inboxes remember"
        )
        yield warning(about, f"{what} no longer whether its event was handled", "Mend the cause and retry before.")


def _told(queues: Sequence[Queue], more: str = "") -> str:
    records, first = sum(queue.records for queue in queues), queues[0]
    reason = " ".join(first.reason.split())
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[:_LONGEST_REASON]} …"
    return (
        f"{records} events of {len(queues)} keys are parked{more}, the first since {first.since:%Y-%m-%d %H:%M}"
        f" because: {reason}"
    )


def _time(queue: Queue) -> datetime:
    """Return the time by which its first event is judged: the inbox goes by the event's own."""
    return queue.time or queue.since
