"""kill -9, pauses and partitions of a service on DynamoDB, under load, in a random order; see `test_crash`."""

import os
import random
from pathlib import Path

import pytest

from crash.dynamo_stage import dynamo_stage
from crash.injuries import Schedule
from crash.ledger import findings
from crash.stage import Servers
from crash.test_crash import RUNS, SEED

SECONDS = float(os.environ.get("SOUK_CRASH_SECONDS") or 5)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(SECONDS + 240)]


@pytest.mark.parametrize("seed", [f"{SEED}-{run}" if RUNS > 1 else SEED for run in range(RUNS)])
async def test_whatever_is_killed_every_event_has_its_effect_once_and_in_order(
    own_servers: Servers, aws_endpoint: str, tmp_path: Path, seed: str
) -> None:
    async with dynamo_stage(own_servers, aws_endpoint, tmp_path, seed) as run:
        schedule = Schedule(run, random.Random(seed))  # noqa: S311 -- a schedule, not a secret
        await run.has_begun()
        await schedule.run(SECONDS)
        facts = await run.at_the_end()
        # Shown when the test fails, and by `make test-crash`.
        print(f"\nseed {seed}:", *schedule.told, f"{facts.summary()}; logs in {tmp_path}", sep="\n  ")  # noqa: T201
        assert findings(facts)[:40] == []
