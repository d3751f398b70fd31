"""`corelib parked`, given as an operator gives it, on a real store."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from written import written

from corelib.cli import frame
from corelib.cli.frame import opened
from corelib.cli.main import main
from corelib.cli.target import Target
from corelib.message import Envelope, Record
from corelib.operation import Operation
from corelib.parking import AT_ONCE
from corelib.postgres.operations import PostgresOperations
from corelib.postgres.parking import PostgresParking
from corelib.store import Failure, Parked
from corelib.testing.running import until

SERVICE = """
import asyncio
from dataclasses import dataclass
from pathlib import Path

from corelib.actor import Actor, receive
from corelib.config import ServiceSettings
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Event
from corelib.postgres.store import Postgres
from corelib.postgres.transaction import PostgresTransaction
from corelib.service import Service


class Filled(Event, type="test.filled.v1", channels=(Channel("shelves"),), key="shelf"):
    shelf: str
    number: int


class Lamp:
    name = "lamp"
    lit = False

    async def open(self) -> None:
        self.lit = True

    async def close(self) -> None:
        self.lit = False


@dataclass(frozen=True)
class Shelves(Actor):
    lamp: Lamp

    @receive
    async def filled(self, event: Filled, tx: PostgresTransaction) -> None:
        if Path("slow").exists():
            Path("begun").touch()
            await asyncio.Event().wait()
        if not self.lamp.lit or Path("broken").exists():
            raise ValueError("the shelf broke")
        await tx.execute("INSERT INTO filled VALUES ($1)", event.number)


def build(settings: ServiceSettings) -> Service:
    lamp = Lamp()
    table = "CREATE TABLE IF NOT EXISTS filled (number int)"
    store = Postgres(settings.postgres_dsn, schema="NAME", migrations=[table])
    brokers = [Kafka("127.0.0.1:1")]
    return Service("shelves", settings, store=store, actors=[Shelves(lamp)], brokers=brokers, resources=[lamp])
"""
HANDLER = "Shelves.filled"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str) -> str:
    name = written(SERVICE, tmp_path, monkeypatch, SOUK_POSTGRES_DSN=database)
    service = Target(name).service()
    asyncio.run(service.store.provision())
    return name


def record(number: int, shelf: str = "s-1") -> Record:
    envelope = Envelope(uuid4(), "test.filled.v1", "test", datetime.now(UTC), shelf)
    return envelope.record("shelves", f'{{"shelf": "{shelf}", "number": {number}}}'.encode())


def park(app: str, *records: Record, handler: str = HANDLER) -> None:
    service = Target(app).service()

    async def work() -> None:
        async with opened(service):
            for each in records:
                await service.store.parking.park(
                    handler, each, Failure("ValueError: it broke", "at line 1"), attempts=8
                )

    asyncio.run(work())


def left(app: str) -> tuple[list[int], int, Sequence[Operation]]:
    """Return what was handled, how many are still parked, and the audit."""
    service = Target(app).service()

    async def work() -> tuple[list[int], int, Sequence[Operation]]:
        async with opened(service):
            rows = await service.store.fetch("SELECT number FROM filled")  # type: ignore[attr-defined]  # PostgreSQL's
            parked = await service.store.parking.list()
            return [row["number"] for row in rows], len(parked), await service.store.operations.list()

    return asyncio.run(work())


def test_what_is_parked_is_listed_by_key_and_shown_whole(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parked", "list"]) == frame.OK
    assert "Nothing is parked" in capsys.readouterr().out
    park(app, record(1), record(2), record(3, "s-2"))
    assert main(["parked", "list"]) == frame.OK
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if HANDLER in line]
    assert [line[1:6:2] for line in lines] == [[HANDLER, "s-1", "2"], [HANDLER, "s-2", "1"]]
    assert main(["parked", "show", HANDLER, "s-1"]) == frame.OK
    said = capsys.readouterr().out
    assert "ce_type: test.filled.v1" in said
    assert '"number": 2' in said
    assert "attempts: 8" in said
    assert "ValueError: it broke\nat line 1" in said


def test_a_page_is_shown_and_what_is_left_out_is_said(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    park(app, *(record(number, f"s-{number % 3}") for number in range(6)))
    assert main(["parked", "list", "--limit", "2"]) == frame.OK
    said = capsys.readouterr().out
    assert [word for word in said.split() if word.startswith("s-")] == ["s-0", "s-1"]
    assert said.endswith("1 more keys are parked: say --limit 3 to see them.\n")
    for enough in ("3", "4"):
        assert main(["parked", "list", "--limit", enough]) == frame.OK
        assert "more keys" not in capsys.readouterr().out
    assert main(["parked", "show", HANDLER, "s-2", "--limit", "1"]) == frame.OK
    said = capsys.readouterr().out
    assert said.count('"number"') == 1
    assert said.endswith("More records wait behind this: say a larger --limit to see them.\n")
    assert main(["parked", "show", HANDLER, "s-2", "--limit", "2"]) == frame.OK
    assert "More records" not in capsys.readouterr().out


def test_what_waits_is_not_read_to_list_it_or_to_know_what_to_retry(app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key may have a million behind its poison."""
    park(app, *map(record, range(AT_ONCE + 1)))
    asked = []
    rows = PostgresParking.list

    async def some(self: PostgresParking, *queue: str | None, limit: int | None = None) -> Sequence[Parked]:
        asked.append(limit)
        return await rows(self, *queue, limit=limit)

    monkeypatch.setattr(PostgresParking, "list", some)
    for command in (["list"], ["show", HANDLER, "s-1"], ["retry", "--all"]):
        assert main(["parked", *command]) == frame.OK
    assert asked == [21, AT_ONCE, AT_ONCE, AT_ONCE]


def test_what_is_not_parked_is_said_so(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["show", HANDLER, "s"], ["retry", HANDLER, "s"], ["skip", HANDLER, "s", "--reason", "x"]):
        assert main(["--app", app, "parked", *command]) == frame.USAGE
        assert "nothing is parked of 's'" in capsys.readouterr().err
    for arguments in (["retry"], ["retry", HANDLER], ["retry", HANDLER, "s", "--all"]):
        assert main(["parked", *arguments]) == frame.USAGE


def test_a_key_is_retried_without_its_service_and_flows_again(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    park(app, record(1), record(2))
    Path("broken").touch()
    assert main(["parked", "retry", HANDLER, "s-1"]) == frame.FINDINGS
    assert "0 handled; failed again: ValueError: the shelf broke" in capsys.readouterr().out
    assert main(["parked", "show", HANDLER, "s-1"]) == frame.OK
    told = "ValueError: it broke\nat line 1\nTried again, it failed of ValueError: the shelf broke\nTraceback"
    assert told in capsys.readouterr().out
    Path("broken").unlink()
    assert main(["parked", "retry", HANDLER, "s-1", "--reason", "mended", "--who", "ann"]) == frame.OK
    assert "2 handled, the key flows again" in capsys.readouterr().out
    handled, parked, [audit, before] = left(app)
    assert (handled, parked) == ([1, 2], 0)
    assert before.outcome(before.began) == f"failed: {HANDLER} s-1: ValueError: the shelf broke"
    assert (audit.kind, audit.who, audit.reason, bool(audit.ended)) == ("parked retry", "ann", "mended", True)


def test_the_audit_tells_what_failed_of_what_and_what_was_interrupted(
    app: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["parked", "skip", HANDLER, "s-9", "--reason", "a slip"]) == frame.USAGE
    park(app, record(1))
    Path("slow").touch()
    retry = [sys.executable, "-m", "corelib.cli", "parked", "retry", HANDLER, "s-1", "--reason", "no patience"]
    with subprocess.Popen(retry, stderr=subprocess.PIPE) as retrying:
        asyncio.run(until(Path("begun").exists))
        capsys.readouterr()
        assert main(["outbox", "audit"]) == frame.OK
        assert re.search(r"no patience\W.* at work ", capsys.readouterr().out)
        retrying.send_signal(signal.SIGINT)
        assert retrying.wait(30) == frame.INTERRUPTED
    assert main(["outbox", "audit"]) == frame.OK
    interrupted, slip = [line for line in capsys.readouterr().out.splitlines() if "parked" in line]
    assert re.search(r"parked retry\W.*no patience\W.* interrupted ", interrupted)
    assert re.search(r"parked skip\W.*a slip\W.* failed: UsageError: nothing is parked of 's-9'", slip)


def test_everything_is_retried_and_what_fails_is_told(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    park(app, record(1), record(2, "s-2"), Record("shelves", "s-3", record(3).headers, b"{"))
    assert main(["parked", "retry", "--all"]) == frame.FINDINGS
    said = capsys.readouterr().out
    assert f"{HANDLER} s-2: 1 handled" in said
    assert f"{HANDLER} s-3: 0 handled; failed again: Malformed" in said
    assert left(app)[:2] == ([1, 2], 1)


def test_a_skipped_record_is_kept_with_the_audit_and_those_behind_it_are_handled(
    app: str, capsys: pytest.CaptureFixture[str]
) -> None:
    park(app, Record("shelves", "s-1", record(0).headers, b"{\xff"), record(1))
    assert main(["parked", "skip", HANDLER, "s-1"]) == frame.USAGE
    capsys.readouterr()
    assert main(["parked", "skip", HANDLER, "s-1", "--reason", "a test"]) == frame.OK
    assert "1 handled, the key flows again" in capsys.readouterr().out
    handled, parked, [audit] = left(app)
    assert (handled, parked) == ([1], 0)
    assert audit.progress["skipped"]["body"] == "{\\xff"
    assert ["ce_type", "test.filled.v1"] in audit.progress["skipped"]["headers"]
    capsys.readouterr()
    assert main(["outbox", "audit"]) == frame.OK
    shown = capsys.readouterr().out
    assert f"handler {HANDLER}, key s-1 " in shown
    assert f"skipped {dict(audit.progress['skipped']['headers'])['ce_id']} " in shown
    assert "\\xff" not in shown
    assert main(["outbox", "audit", "--json"]) == frame.OK
    assert json.loads(capsys.readouterr().out)[0]["progress"] == audit.progress


def test_keys_and_reasons_are_listed_as_they_are_and_whole(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    key = "[bold]" + "k" * 300
    park(app, record(1, key))
    assert main(["parked", "list"]) == frame.OK
    assert key in capsys.readouterr().out


def test_what_can_only_be_skipped_keeps_nothing_else_from_its_retry(
    app: str, capsys: pytest.CaptureFixture[str]
) -> None:
    park(app, record(1), handler="Gone.filled")
    park(app, record(2), handler="relay-sqs/gone")
    park(app, record(3), record(4))
    assert main(["parked", "retry", "--all"]) == frame.FINDINGS
    said = capsys.readouterr().out
    assert f"{HANDLER} s-1: 2 handled, the key flows again" in said
    assert said.count("can only be skipped") == 2
    assert left(app)[:2] == ([3, 4], 2)
    assert main(["parked", "skip", "relay-sqs/gone", "s-1", "--reason", "gone"]) == frame.FINDINGS
    assert main(["parked", "skip", "Gone.filled", "s-1", "--reason", "gone"]) == frame.OK
    assert left(app)[1] == 0


def test_no_other_record_is_skipped_than_the_one_that_is_written_down(
    app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else takes the first one away after it is written down."""
    park(app, record(1), record(2))
    Path("broken").touch()
    save, told = PostgresOperations.save, list[Operation]()

    async def save_late(self: PostgresOperations, operation: Operation, *, over: UUID | None = None) -> None:
        await save(self, operation, over=over)
        if "skipped" in operation.progress and not told:
            told.append(operation)
            async with opened(Target(app).service()) as other:
                await other.store.parking.remove((await other.store.parking.list())[0])

    monkeypatch.setattr(PostgresOperations, "save", save_late)
    assert main(["parked", "skip", HANDLER, "s-1", "--reason", "a test"]) == frame.FINDINGS
    assert left(app)[:2] == ([], 1)
