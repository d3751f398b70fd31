"""Runs every check that fits a service; one that cannot ask says so and keeps no other from asking."""

from collections.abc import Sequence

from corelib.doctor import clocks, database, flow, parked, queues, topics
from corelib.doctor.finding import Case, Check, Finding, Level, problem
from corelib.kafka.broker import Kafka
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.sqs.broker import Sqs

_ORDER = list(Level)


async def examine(case: Case) -> list[Finding]:
    """Return everything found, the worst first."""
    service, found = case.service, []
    checks: list[Check] = [flow.schema, *_of_brokers(service)]
    if clocks.on_aws(case):
        checks.append(clocks.aws_clock)
    try:
        await service.store.open(service.origin)
    except Exception as error:  # noqa: BLE001 -- as in `_made`
        remedy = "Mend that: meanwhile the service is alive, not ready, and goes on by itself."
        found.append(problem(service.store.name, str(error), remedy))
    else:
        checks += _of_stores(service)
    try:
        found += [finding for check in checks for finding in await _made(check, case)]
    finally:
        await service.store.close()
    return sorted(found, key=lambda finding: _ORDER.index(finding.level))


async def _made(check: Check, case: Case) -> Sequence[Finding]:
    try:
        return await check(case)
    except Exception as error:  # noqa: BLE001 -- whatever it is, the other checks are made, and it is told
        return [problem(f"check of {check.__name__}", f"could not be made: {error}", "Mend the reason, ask again.")]


def _of_stores(service: Service) -> list[Check]:
    checks: list[Check] = [flow.relays, flow.timers, parked.parked]
    if isinstance(service.store, Postgres):
        checks += [database.transactions, database.ring, database.rights, database.age, clocks.database_clock]
    return checks


def _of_brokers(service: Service) -> list[Check]:
    checks: list[Check] = []
    if any(isinstance(broker, Kafka) for broker in service.brokers.values()):
        checks += [topics.topics, topics.consumers]
    if any(isinstance(broker, Sqs) for broker in service.brokers.values()):
        checks.append(queues.queues)
    return checks
