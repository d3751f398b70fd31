"""A database that fails over to a standby which lacks the last commits, while a relay lives on."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from corelib import outbox_log
from corelib.clock import SystemClock
from corelib.errors import EraChanged, LeaseLost
from corelib.outbox_log import OutboxLog
from corelib.postgres.store import Postgres
from corelib.transaction import Origin
from devstack.parts import Server, postgres_server
from log_relay.notes import Noted, following, leased, note


class Standby:
    """Has what the database had when it was made; takes its place, under its address."""

    def __init__(self, server: Server, data: Path) -> None:
        self._server = server
        self._data = data
        self._copy = data.with_name("standby")

    async def make(self) -> None:
        await self._server.crash()
        shutil.copytree(self._data, self._copy, copy_function=_copy)
        _own_as(self._data, self._copy)
        await self._server.restart()

    async def take_over(self) -> None:
        await self._server.crash()
        self._data.rename(self._data.with_name("lost"))
        self._copy.rename(self._data)
        await self._server.restart()


def _copy(source: str, target: str) -> None:
    shutil.copy2(source, target)


def _own_as(model: Path, copy: Path) -> None:
    owner = model.stat()
    for path in (copy, *copy.rglob("*")):
        shutil.chown(path, owner.st_uid, owner.st_gid)


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[Server, str]]:
    server = postgres_server(tmp_path)
    async with server as dsn:
        yield server, dsn


@pytest_asyncio.fixture
async def store(server: tuple[Server, str]) -> AsyncIterator[Postgres]:
    store = Postgres(server[1], schema=f"t{uuid4().hex[:12]}")
    await store.provision()
    await store.open(Origin("test", SystemClock(), frozenset({Noted})))
    yield store
    await store.close()


@pytest_asyncio.fixture
async def standby(server: tuple[Server, str], store: Postgres, monkeypatch: pytest.MonkeyPatch) -> Standby:
    monkeypatch.setattr(outbox_log, "_MOVE_SECONDS", float("inf"))  # the database has yet to be told of any position
    (folder,) = await store.fetch("SHOW data_directory")
    return Standby(server[0], Path(folder[0]))


async def failed_over(store: Postgres, standby: Standby) -> tuple[OutboxLog, bytes]:
    """Return a relay that has delivered what its database then lost, with the broker's receipt; others came since."""
    await leased(store)
    await standby.make()
    log = await leased(store)
    await note(store, 1)
    chunk = await log.read(10)
    assert chunk
    await log.passed(chunk.after)
    await standby.take_over()
    for number in range(2, 9):
        await note(store, number)
    return log, chunk.receipt


async def test_a_relay_stores_no_position_in_a_database_that_it_has_not_looked_at(
    store: Postgres, standby: Standby
) -> None:
    log, receipt = await failed_over(store, standby)
    await log.release()
    again = await leased(store)
    with pytest.raises(EraChanged, match="set back"):
        await again.recover(receipt)


async def test_a_relay_reads_on_in_no_database_that_it_has_not_looked_at(store: Postgres, standby: Standby) -> None:
    log, _ = await failed_over(store, standby)
    with pytest.raises(LeaseLost):
        await log.read(10)
    await log.release()
    assert await following(await leased(store)) == [*range(2, 9)]
