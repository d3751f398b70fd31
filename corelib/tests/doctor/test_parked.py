"""What is parked, and whether it is told to be tried again or to be skipped."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from corelib.doctor.parked import parked
from corelib.message import Envelope, Record
from corelib.parking import MALFORMED
from corelib.service import Service
from corelib.store import Failure
from doctor.notes import Reader, said


def noted(key: str = "k", *, age: timedelta = timedelta(0)) -> Record:
    envelope = Envelope(uuid4(), "test.noted.v1", "test", datetime.now(UTC) - age, key)
    return envelope.record("notes", b"{}")


async def park(service: Service, handler: str, *records: Record) -> None:
    for record in records:
        await service.store.parking.park(handler, record, Failure("ValueError: no such note"), attempts=5)


async def test_parked_keys(service: Service) -> None:
    service.routes[:] = Reader().routes()
    await park(service, "Reader.noted", noted(), noted(), noted("l"))
    found = await said(parked, service)
    assert "problem handler Reader.noted: 3 events of 2 keys are parked, the first since 20" in found
    assert (
        "because: ValueError: no such note -> See `corelib parked list`; mend the cause, then `corelib parked retry`"
        in found
    )
    assert "can only be skipped" not in found


async def test_a_reason_of_several_lines_is_told_from_its_type_on_in_one_and_cut(service: Service) -> None:
    service.routes[:] = Reader().routes()
    reason = (
        "ValidationError: 1 validation error for Noted\nnumber\n  Field required [type=missing]\n    For more see ..."
    )
    await service.store.parking.park("Reader.noted", noted(), Failure(reason + 30 * " more"), attempts=5)
    told = (
        "because: ValidationError: 1 validation error for Noted number Field required [type=missing] For more see ..."
    )
    found = await said(parked, service)
    assert told in found
    assert " … -> See `corelib parked list`" in found
    assert len(found.splitlines()[0]) < 500


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        ("Gone.noted", "that the service does not have"),
        ("relay-sqs/letters", "that the service does not have"),
        (MALFORMED, "and are no events that anybody could read"),
    ],
)
async def test_what_can_only_be_skipped_is_not_told_to_be_retried(service: Service, handler: str, why: str) -> None:
    await park(service, handler, noted())
    found = await said(parked, service)
    assert f"problem handler {handler}: 1 events of 1 keys are parked" in found
    assert why in found
    assert "parked skip" in found
    assert "parked retry" not in found


async def test_what_grows_too_old_to_be_retried_is_told_days_before_and_after(service: Service) -> None:
    service.routes[:] = Reader().routes()
    ages = {"new": 1, "soon": 11, "soon too": 12, "late": 15}
    await park(service, "Reader.noted", *(noted(key, age=timedelta(days=days, hours=1)) for key, days in ages.items()))
    fresh, soon, late = (await said(parked, service)).splitlines()
    assert fresh.startswith("problem handler Reader.noted: 3 events of 3 keys are parked, the first since 20")
    assert "parked retry" in fresh
    assert late.startswith(
        "problem handler Reader.noted: 1 events of 1 keys are parked and older than inboxes remember"
    )
    assert "parked skip" in late
    assert "parked retry" not in late
    assert soon.startswith("warning handler Reader.noted: in 1 day, 2")
    assert "the first of 2 keys can only be skipped" in soon


async def test_what_a_relay_parked_is_sent_whatever_its_age(service: Service) -> None:
    await park(service, "relay-kafka/notes", noted(age=timedelta(days=15)))
    found = await said(parked, service)
    assert "consumers park it as well" in found
    assert "parked retry" in found
