"""kill -9, pauses and partitions of everything, under load, in a random order.

A slice by default; `make test-crash SECONDS=60 N=10 SEED=…` for more. A seed fixes what is done and when, not what the
machine makes of it.
"""

import os
import random
import secrets
from pathlib import Path

import pytest

from crash.injuries import Schedule
from crash.ledger import findings
from crash.stage import Servers, stage

SECONDS = float(os.environ.get("SOUK_CRASH_SECONDS") or 8)
RUNS = int(os.environ.get("SOUK_CRASH_RUNS") or 1)
SEED = os.environ.get("SOUK_CRASH_SEED") or secrets.token_hex(4)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(SECONDS + 240)]

KEPT = "SELECT (SELECT count(*) FROM outbox_0) + (SELECT count(*) FROM outbox_1) + (SELECT count(*) FROM outbox_2)"


@pytest.mark.parametrize("seed", [f"{SEED}-{run}" if RUNS > 1 else SEED for run in range(RUNS)])
async def test_whatever_is_killed_every_event_has_its_effect_once_and_in_order(
    own_servers: Servers, tmp_path: Path, seed: str
) -> None:
    async with stage(own_servers, tmp_path, seed) as run:
        schedule = Schedule(run, random.Random(seed))  # noqa: S311 -- a schedule, not a secret
        await run.has_begun()
        await schedule.run(SECONDS)
        facts = await run.at_the_end()
        # Shown when the test fails, and by `make test-crash`.
        print(f"\nseed {seed}:", *schedule.told, f"{facts.summary()}; logs in {tmp_path}", sep="\n  ")  # noqa: T201
        assert findings(facts)[:40] == []
        assert await run.fetchval(KEPT) < len(facts.records), "the ring never turned"
