"""How large a world TLC looks at, and how it is asked."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from devstack.settings import StackSettings
from devstack.tlc import Question, Verdict, check

MODEL = Path(__file__).parents[2] / "docs" / "model" / "Outbox.tla"

LOST, EFFECT, TOPIC = "NothingLost", "EffectOnceInOrder", "TopicOnceInOrder"
CORELIB = dict.fromkeys(
    ("BySnapshot", "TickKept", "Fenced", "Receipts", "SendFirst", "MarkWithEffect", "OffsetAfterEffect"), "TRUE"
)
WORLD = {
    "Keys": "{a, b}",
    "Relays": "{r1, r2}",
    "Consumers": "{c1}",
    "Transactions": "2",
    "Faults": "1",
    "IdleTicks": "0",
}
# Transactions enough that numbers forgotten in a crash are given out again, and overtake.
LONG = WORLD | {"Keys": "{a}", "Relays": "{r1}", "Consumers": "{}", "Transactions": "4"}


async def safe(
    work: Path, world: Mapping[str, str], *, invariants: Sequence[str] = (LOST, EFFECT, TOPIC), **changed: str
) -> Verdict:
    """Ask whether the invariants hold in a world, with what is `changed` of corelib."""
    question = Question({**CORELIB, **world, **changed}, invariants, symmetry="Symmetry")
    return await check(MODEL, question, work, cache=StackSettings().cache)


async def live(work: Path, world: Mapping[str, str]) -> Verdict:
    """Ask whether everything arrives once nothing fails any more."""
    question = Question({**CORELIB, **world}, (), specification="FairSpec", properties=("EverythingArrives",))
    return await check(MODEL, question, work, cache=StackSettings().cache)
