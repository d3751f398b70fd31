"""Whether this machine's clock agrees with the one that its store goes by.

A broker of Kafka is not asked: its protocol tells no time, and nothing of ours goes by its clock (docs/doctor.md).
"""

import contextlib
from collections.abc import Sequence
from datetime import timedelta

from botocore.exceptions import ClientError

from corelib.aws.clients import Aws
from corelib.aws.wire import DYNAMODB, SQS, Protocol, wire
from corelib.doctor.finding import Case, Finding, warning
from corelib.dynamo.store import Dynamo
from corelib.errors import Unavailable
from corelib.postgres.store import Postgres
from corelib.sqs.broker import Sqs

# An HTTP `Date` has no fractions: up to this much more has passed than it says.
_DATE_RESOLUTION = timedelta(seconds=1)
_NTP = "Synchronise this machine's clock (NTP; `chronyc tracking` tells how it stands)."


async def database_clock(case: Case) -> Sequence[Finding]:
    """Compare PostgreSQL's clock, which was looked at somewhere within a round trip."""
    store, clock = case.service.store, case.service.clock
    if not isinstance(store, Postgres):
        raise TypeError("PostgreSQL's clock was asked of another store")
    began = clock.now()
    row = await store.fetchrow("SELECT clock_timestamp() AS there")
    ended = clock.now()
    if row is None:
        return []
    return _judged(
        "the database's",
        row["there"] - ended,
        row["there"] - began,
        case.skew,
        "Synchronise both (NTP): timers go by the database's clock, events carry this machine's time, and lags are"
        " measured across the two.",
    )


async def aws_clock(case: Case) -> Sequence[Finding]:
    """Compare AWS' clock, by the date of an answer to a call that may be refused: a refusal is dated too."""
    aws, protocol, operation = _asked(case)
    clock = case.service.clock
    await aws.open()
    try:
        wired = await wire(aws, protocol)
        began = clock.now()
        with contextlib.suppress(ClientError):
            await wired.call(operation, {})
        ended = clock.now()
        there = wired.server_time()
    finally:
        await aws.close()
    if there is None:
        raise Unavailable(protocol.client, "its answers carry no date")
    return _judged(
        "AWS'",
        there - ended,
        there - ended + _DATE_RESOLUTION + (ended - began),
        case.skew,
        f"{_NTP} On EC2 its source is 169.254.169.123. Timers on DynamoDB go by AWS' clock meanwhile, in whole seconds;"
        " from five minutes on AWS refuses every call.",
    )


def on_aws(case: Case) -> bool:
    """Tell whether a service has its store or a broker on AWS."""
    return isinstance(case.service.store, Dynamo) or _queues(case) is not None


def _asked(case: Case) -> tuple[Aws, Protocol, str]:
    if isinstance(case.service.store, Dynamo):
        return case.service.store.aws, DYNAMODB, "ListTables"
    if (broker := _queues(case)) is not None:
        return broker.aws, SQS, "ListQueues"
    raise TypeError("AWS' clock was asked for a service that has nothing there")


def _queues(case: Case) -> Sqs | None:
    return next((broker for broker in case.service.brokers.values() if isinstance(broker, Sqs)), None)


def _judged(whose: str, least: timedelta, most: timedelta, allowed: timedelta, remedy: str) -> Sequence[Finding]:
    """Say by how much a clock is certainly off, if it is `least` to `most` ahead of this machine's."""
    if least <= allowed and most >= -allowed:
        return []
    ahead = least > allowed
    seconds = abs((least if ahead else most).total_seconds())
    way = "ahead of" if ahead else "behind"
    return [warning("clocks", f"{whose} clock is {seconds:.1f} s {way} this machine's", remedy)]
