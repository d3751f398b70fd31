"""All checks together."""

from corelib.doctor.examination import examine
from corelib.doctor.finding import Case
from corelib.service import Service
from doctor.notes import nothing


async def test_a_broker_that_is_away_keeps_no_other_check_from_asking(postgres: Service) -> None:
    found = await examine(Case(postgres, nothing))
    assert any(each.about == "check of topics" and "could not be made: kafka" in each.what for each in found)
    assert any(each.about == "relay kafka" for each in found)
