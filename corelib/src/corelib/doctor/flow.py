"""Whether events flow: relays that stall, lag or idle, timers that are late. Any store."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from corelib.doctor.finding import Case, Finding, note, problem, span, warning
from corelib.dynamo.store import Dynamo


async def relays(case: Case) -> Sequence[Finding]:
    """Look twice: work that waits and does not move is a stalled relay, no work is an idle one."""
    return [
        finding for relay, channels in case.service.relays().items() for finding in await _relay(case, relay, channels)
    ]


async def _relay(case: Case, relay: str, channels: frozenset[str]) -> Sequence[Finding]:
    store = case.service.store
    before = await store.relay_state(relay, channels)
    if not before.lag_seconds and not before.holders:
        return [warning(f"relay {relay}", "no relay is at work; nothing waits", _START)]
    await case.watch()
    after = await store.relay_state(relay, channels)
    alive = [holder for holder, sign in after.holders.items() if before.holders.get(holder) != sign]
    dead = sorted(after.holders.keys() - set(alive))
    found = _judge(case, relay, after.lag_seconds, alive=alive, dead=dead, moved=before.place != after.place)
    return [*_lost(relay, before.holders.keys(), after.holders.keys()), *found]


def _lost(relay: str, before: AbstractSet[str], after: AbstractSet[str]) -> Iterator[Finding]:
    lost, new = sorted(before - after), sorted(after - before)
    if lost and new:
        what = f"{', '.join(lost)} lost the lease, or gave it up, and {', '.join(new)} took it while I looked"
        remedy = "If no release is being rolled out: its process is paused or starved, or its store slow to answer."
        yield warning(f"relay {relay}", what, remedy)


_START = "Start the service with its relay, or `corelib relay`."


def _judge(
    case: Case, relay: str, lag: float, *, alive: Sequence[str], dead: Sequence[str], moved: bool
) -> Sequence[Finding]:
    about = f"relay {relay}"
    if not alive and dead:
        held = f"the lease is held by {', '.join(dead)}, which gives no sign of life"
        waits = f"; the oldest event has waited for {span(lag)}" if lag else ""
        return [
            problem(about, held + waits, f"Its lease ends by itself within seconds, if a standby is there. {_START}")
        ]
    if not alive:
        remedy = f"{_START} One that runs waits for its broker: /readyz and its log say what for."
        return [problem(about, f"no relay is at work; the oldest event has waited for {span(lag)}", remedy)]
    if lag and not moved:
        what = f"stalled: the oldest event has waited for {span(lag)}, and does not move"
        return [problem(about, what, "Its log says what it waits for; look at the findings on the broker.")]
    if lag > case.late.total_seconds():
        what = f"behind: events move, but the oldest has waited for {span(lag)}"
        return [warning(about, what, "Wait if a backlog is being worked off; else see docs/operations.md on sizes.")]
    if lag:
        return [note(about, f"keeps up: the oldest event has waited for {span(lag)}")]
    return [note(about, "idle: everything committed is delivered")]


async def timers(case: Case) -> Sequence[Finding]:
    """Tell for how long timers are due that nobody fires."""
    seconds = await case.service.store.overdue_seconds()
    if seconds <= case.late.total_seconds():
        return []
    what = f"the first that is due waits for {span(seconds)}: nobody fires them, or not fast enough"
    return [problem("timers", what, 'Start the service with its part "timers"; see its log for why one does not fire.')]


async def schema(case: Case) -> Sequence[Finding]:
    """Name what the tables lack; of a service's own, those that its store is told of."""
    store = case.service.store
    corelibs = await store.migrate(dry_run=True)
    own = await store.lacking() if isinstance(store, Dynamo) else ()
    return [
        *(problem("schema", f"missing: {change.summary}", "Run `corelib outbox migrate`.") for change in corelibs),
        *(
            problem("schema", f"missing: {change.summary}", "Create it, or run the service's --provision.")
            for change in own
        ),
    ]
