"""Sending again what is parked."""

from corelib.kafka.broker import Kafka
from corelib.replay import Source
from corelib.service import Service
from corelib.store import Failure
from replay.steps import LAB, Went, everything, plan, replace_source, replayed, went


async def test_a_parked_key_is_sent_once_however_many_handlers_parked_it(service: Service, kafka: Kafka) -> None:
    for record in (went(1), went(2), went(3, "other")):
        for handler in ("A.went", "B.went"):
            await service.store.parking.park(handler, record, Failure("bad"), attempts=1)
    what = replace_source(plan(keys={"k"}), Source.PARKED)
    tally, _ = await replayed(service, what.model_copy(update={"target": LAB.name}))
    assert tally.records == 2
    assert [Went.model_validate_json(record.payload).number for record in await everything(kafka, LAB)] == [1, 2]
    assert len(await service.store.parking.list()) == 6
