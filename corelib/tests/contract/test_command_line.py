"""The operator's commands, given as an operator gives them, on real PostgreSQL and Kafka."""

import asyncio
import contextlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from written import written

from corelib.cli import frame
from corelib.cli.frame import opened
from corelib.cli.main import main
from corelib.cli.target import Target
from corelib.doctor.finding import Finding, Level
from corelib.message import Channel, Envelope
from corelib.service import Service
from corelib.transaction import REMEMBER

SERVICE = """
from corelib.config import ServiceSettings
from corelib.kafka.broker import Kafka
from corelib.message import Channel, Event
from corelib.postgres.store import Postgres
from corelib.service import Service

SHELVES = Channel("shelves", partitions=2)


class ShelfFilled(Event, type="test.shelf.filled.v1", channels=(SHELVES,), key="shelf"):
    shelf: str
    number: int


def build(settings: ServiceSettings) -> Service:
    store = Postgres(settings.postgres_dsn, schema="NAME")
    kafka = Kafka(settings.kafka_bootstrap, prefix=settings.kafka_prefix)
    return Service("shelves", settings, store=store, publishes=[ShelfFilled], brokers=[kafka])
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str, kafka_bootstrap: str) -> str:
    return written(SERVICE, tmp_path, monkeypatch, SOUK_POSTGRES_DSN=database, SOUK_KAFKA_BOOTSTRAP=kafka_bootstrap)


def fill(app: str, count: int) -> None:
    """Publish so many events, and be their relay."""
    service = Target(app).service()
    filled = next(iter(service.publishes))

    async def work() -> None:
        for broker in service.brokers.values():
            await broker.provision(service.channels())
        async with opened(service):
            await _publish(service, [filled.model_validate({"shelf": "s", "number": n}) for n in range(count)])
            reader = service.store.outbox("kafka", frozenset({"shelves"}))
            assert await reader.acquire("test")
            while pending := await reader.read(100):
                await reader.acknowledge(pending)
            await reader.release()

    asyncio.run(work())


async def _publish(service: Service, events: list) -> None:  # type: ignore[type-arg]  # of a class made in the test
    async with service.store.transaction() as tx:
        for event in events:
            tx.publish(event)


def test_a_schema_is_planned_made_and_left_alone(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--app", app, "outbox", "migrate", "--dry-run"]) == frame.OK
    assert "CREATE TABLE IF NOT EXISTS outbox_0" in capsys.readouterr().out
    assert main(["outbox", "migrate"]) == frame.OK
    said = capsys.readouterr().out
    assert "Done: outbox ring" in said
    assert main(["outbox", "migrate"]) == frame.OK
    ending = "corelib's tables are up to date. The service's own are made by its migrations, or its --provision.\n"
    assert capsys.readouterr().out == ending
    assert said.endswith(ending)


def test_a_type_that_nobody_knows_is_told_from_one_of_which_nothing_was_sent(
    app: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--app", app, "outbox", "migrate"])
    assert main(["replay", "--type", "test.shelf.filled.v1"]) == frame.OK
    assert "0 events" in capsys.readouterr().out
    assert main(["replay", "--type", "test.shelf.filed.v1", "--type", "test.shelf.filled.v1"]) == frame.USAGE
    told = "--type test.shelf.filed.v1: there is nothing of it, and the service's types are test.shelf.filled.v1\n"
    assert capsys.readouterr().err == told


def test_a_replay_is_counted_sent_and_written_down(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["outbox", "migrate"])
    fill(app, 7)
    assert main(["replay", "--type", "test.shelf.filled.v1", "--since", "1h"]) == frame.OK
    said = capsys.readouterr().out
    assert "7 events" in said
    assert "Nothing was sent" in said
    assert main(["replay", "--go"]) == frame.USAGE
    assert "--reason" in capsys.readouterr().err
    assert main(["replay", "--go", "--reason", "a test", "--to", "none"]) == frame.USAGE
    assert re.fullmatch(r"--to none: \S+-none does not exist; nothing was sent\n", capsys.readouterr().err)
    assert main(["replay", "--go", "--reason", "a test", "--who", "ann"]) == frame.OK
    number = re.search(r"Sent 7 events again. It is written down as (\S+)\.", capsys.readouterr().out)
    assert number is not None
    assert main(["replay", "--source", "topic"]) == frame.OK
    assert "0 events" in capsys.readouterr().out
    assert main(["replay", "--resume", number[1]]) == frame.USAGE
    assert "has ended" in capsys.readouterr().err


def test_what_inboxes_forgot_is_sent_to_another_topic_only(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["outbox", "migrate"])
    fill(app, 1)
    lab = Channel("lab", partitions=1)

    async def on_the_topic() -> None:
        service = Target(app).service()
        async with opened(service, *service.brokers.values()):
            old = Envelope(uuid4(), "test.shelf.filled.v1", "test", datetime.now(UTC) - 2 * REMEMBER, "s")
            await service.brokers["kafka"].provision([lab])
            await service.brokers["kafka"].send([old.record("shelves", b"{}")])

    asyncio.run(on_the_topic())
    for target in ([], ["--to", "shelves"]):
        assert main(["replay", "--source", "topic", *target, "--go", "--reason", "a test"]) == frame.FINDINGS
        assert "1 of 1 events are older than inboxes remember (14 days)" in capsys.readouterr().err
    assert main(["replay", "--source", "topic", "--to", "lab", "--go", "--reason", "a test"]) == frame.OK
    assert "Sent 1 events again" in capsys.readouterr().out
    assert main(["outbox", "audit"]) == frame.OK
    assert capsys.readouterr().out.count("a test") == 1


def test_the_doctor_speaks_to_people_and_machines_and_ends_with_1_when_something_is_wrong(
    app: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("corelib.cli.doctor._WATCH_SECONDS", 0.0)
    main(["--app", app, "outbox", "migrate"])
    fill(app, 1)
    assert main(["doctor"]) == frame.FINDINGS
    assert "warning relay kafka: no relay is at work; nothing waits\n  -> Start" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == frame.FINDINGS
    found = json.loads(capsys.readouterr().out)
    assert {"warning", "note"} == {finding["level"] for finding in found}
    monkeypatch.setattr("corelib.cli.doctor.examine", nothing_found)
    assert main(["doctor"]) == frame.OK
    assert "Nothing is wrong" in capsys.readouterr().out


async def nothing_found(_: object) -> list[Finding]:
    return [Finding(Level.NOTE, "the weather", "fine", "")]


def test_the_status_names_relays_holders_and_what_waits(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--app", app, "outbox", "migrate"])
    service = Target(app).service()
    filled = next(iter(service.publishes))

    async def held_with_one_waiting() -> None:
        async with opened(service):
            assert await service.store.outbox("kafka", frozenset({"shelves"})).acquire("relay-7")
            await _publish(service, [filled.model_validate({"shelf": "s", "number": 1})])

    capsys.readouterr()
    assert main(["outbox", "status"]) == frame.OK
    assert "nobody" in capsys.readouterr().out
    asyncio.run(held_with_one_waiting())
    assert main(["outbox", "status"]) == frame.OK
    shown = capsys.readouterr().out
    assert "relay-7" in shown
    assert re.search(r"\d s ", shown)
    assert "none waits" not in shown


def test_a_new_era_is_shown_asked_for_begun_and_written_down(
    app: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--app", app, "outbox", "migrate"])
    fill(app, 3)
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert main(["outbox", "new-era", "--reason", "a test"]) == frame.FINDINGS
    assert "3 were sent before" in capsys.readouterr().out
    assert main(["outbox", "new-era", "--reason", "a test", "--who", "ann", "--yes"]) == frame.OK
    assert "Era 1 has begun" in capsys.readouterr().out
    assert main(["outbox", "audit"]) == frame.OK
    shown = capsys.readouterr().out
    assert shown.count("new-era") == 1
    assert "ann" in shown


def test_a_relay_that_is_no_more_is_named_and_forgotten(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--app", app, "outbox", "migrate"])
    service = Target(app).service()

    async def relayed() -> None:
        async with opened(service):
            log = service.store.log("sqs", frozenset())  # type: ignore[attr-defined]  # PostgreSQL's
            assert await log.acquire("a release before")
            await log.release()

    asyncio.run(relayed())
    main(["doctor"])
    assert "what relay sqs has not read, which this service does not have" in " ".join(capsys.readouterr().out.split())
    for relay, said in (("kafka", "the service has the relay kafka"), ("fax", "there is no relay fax")):
        assert main(["outbox", "forget", relay, "--reason", "a test"]) == frame.USAGE
        assert said in capsys.readouterr().err
    assert main(["outbox", "forget", "sqs", "--reason", "no queues", "--who", "ann"]) == frame.OK
    main(["outbox", "audit"])
    shown = capsys.readouterr().out
    assert "forget relay" in shown
    assert "ann" in shown
    main(["doctor"])
    assert "relay sqs" not in " ".join(capsys.readouterr().out.split())


def test_ctrl_c_at_the_question_of_a_new_era_ends_it(app: str) -> None:
    main(["--app", app, "outbox", "migrate"])
    said, terminal = b"", pty.openpty()
    command = [sys.executable, "-m", "corelib.cli", "--app", app, "outbox", "new-era", "--reason", "a test"]
    with subprocess.Popen(command, stdin=terminal[1], stdout=terminal[1], stderr=terminal[1]) as asking:
        os.close(terminal[1])
        while b"Begin the new era?" not in said:
            said += os.read(terminal[0], 1_000)
        # Again, if need be: Python may hear of one just before it reads, and then reads.
        deadline = time.monotonic() + 60
        while asking.poll() is None and time.monotonic() < deadline:
            asking.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                asking.wait(0.5)
        assert asking.poll() not in {None, frame.OK}
        asking.kill()
    os.close(terminal[0])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "yesterday"], "--since yesterday: give a time"),
        (["--topic", "none"], "--topic none: the service's are shelves"),
        (["--resume", str(uuid4())], "there is no such replay"),
        (
            ["--resume", str(uuid4()), "--to", "lab"],
            "--to: --resume goes on with what was chosen",
        ),
        (["--resume", str(uuid4()), "--since", "1h"], "--since: --resume goes on"),
    ],
)
def test_a_replay_that_makes_no_sense_is_refused_in_a_sentence(
    app: str, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    main(["--app", app, "outbox", "migrate"])
    assert main(["replay", *arguments]) == frame.USAGE
    assert said in capsys.readouterr().err


def test_a_database_that_is_away_is_said(
    app: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOUK_POSTGRES_DSN", "postgresql://souk@127.0.0.1:1/none")
    assert main(["--app", app, "replay"]) == frame.FINDINGS
    assert capsys.readouterr().err.startswith("Failed: postgres is unavailable")
