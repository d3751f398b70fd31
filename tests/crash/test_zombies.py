"""Relays that sleep past their lease and wake in the belief that it is still theirs."""

from pathlib import Path

import asyncpg
import pytest

from crash.injuries import paused
from crash.ledger import findings
from crash.stage import PostgresStage, Servers, stage

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

EFFECTS = "SELECT count(*) FROM effect"
FENCE = "SELECT fence FROM outbox_cursor"
NAPS = 4


async def run_out(run: PostgresStage) -> None:
    """Let the lease end now: what happens to it if its holder sleeps for long."""
    connection = await asyncpg.connect(run.dsn, server_settings={"search_path": "ledger"})
    await connection.execute("UPDATE outbox_cursor SET lease_until = now() - interval '1 s'")
    await connection.close()


async def test_relays_that_wake_after_another_took_over_double_nothing_and_lose_nothing(
    own_servers: Servers, tmp_path: Path
) -> None:
    async with stage(own_servers, tmp_path, "zombies") as run:
        await run.until(EFFECTS, 100)
        before = await run.fetchval(FENCE)
        for nap in range(NAPS):
            async with paused(run.of("relay")[nap % 2]):
                await run_out(run)
                await run.until(EFFECTS, await run.fetchval(EFFECTS) + 200)
        facts = await run.at_the_end()
        assert findings(facts)[:40] == []
        # The first to sleep may have been the standby; each one after it has the lease.
        assert await run.fetchval(FENCE) >= before + NAPS - 1
