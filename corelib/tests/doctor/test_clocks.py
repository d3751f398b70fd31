"""Clocks that disagree, and what cannot be known of them."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from corelib.clock import Clock, ManualClock
from corelib.config import ServiceSettings
from corelib.doctor import clocks
from corelib.doctor.examination import examine
from corelib.doctor.finding import Case
from corelib.postgres.store import Postgres
from corelib.service import Service
from corelib.sqs.broker import Sqs
from doctor.notes import Mailed, OffClock, nothing, said


@pytest.mark.parametrize(("by", "way"), [(60, "behind"), (-60, "ahead of")])
async def test_clocks_that_differ(service: Service, by: int, way: str) -> None:
    check = clocks.aws_clock if clocks.on_aws(Case(service, nothing)) else clocks.database_clock
    whose = "AWS'" if check is clocks.aws_clock else "the database's"
    assert not await said(check, service)
    service.clock = OffClock(timedelta(seconds=by))
    # A date has no fractions, and the answer was under way: what these hide is not claimed.
    told = rf"warning clocks: {whose} clock is (5\d|6[01])\.\d s {way} this machine's"
    assert re.match(told, await said(check, service))
    assert any(found.about == "clocks" for found in await examine(Case(service, nothing)))


async def test_what_a_date_without_fractions_and_a_slow_answer_hide_is_no_skew() -> None:
    same = ManualClock(datetime(2026, 1, 1, 0, 0, 0, 950_000, tzinfo=UTC))
    async with answering(same, status=200, on_its_way=lambda: same.advance(timedelta(seconds=5))) as url:
        service = on_queues(url)
        service.clock = same
        assert not await said(clocks.aws_clock, service, skew=timedelta(0))


async def test_a_clock_so_wrong_that_aws_refuses_every_call_is_named_among_what_fails() -> None:
    async with answering(OffClock(timedelta(hours=1)), status=400) as url:
        found = await examine(Case(on_queues(url), nothing))
    texts = [f"{each.about}: {each.what}" for each in found]
    assert any(re.match(r"clocks: AWS' clock is (3600|359\d)\.\d s ahead of", text) for text in texts)
    assert any("Signature expired" in text for text in texts)


@asynccontextmanager
async def answering(clock: Clock, *, status: int, on_its_way: Callable[[], None] = lambda: None) -> AsyncIterator[str]:
    """Answer every call as AWS does, by another clock."""

    async def answer(_: web.Request) -> web.Response:
        now = clock.now()
        on_its_way()
        refusal = {"__type": "InvalidSignatureException", "message": "Signature expired: it is now later than that"}
        headers = {"Date": format_datetime(now, usegmt=True)}
        return web.json_response(refusal if status >= 400 else {}, status=status, headers=headers)

    app = web.Application()
    app.router.add_post("/", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


def on_queues(url: str) -> Service:
    aws = ServiceSettings(aws_endpoint_url=url).aws()
    store = Postgres("postgresql://nobody@127.0.0.1:1/none")
    return Service("mail", ServiceSettings(aws_endpoint_url=url), store=store, publishes=[Mailed], brokers=[Sqs(aws)])
