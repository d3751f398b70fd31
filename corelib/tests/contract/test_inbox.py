"""The inbox on both stores: an effect once, whatever the day, and nothing forgotten that could still be asked for."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from corelib.aws.clients import Aws
from corelib.clock import ManualClock, SystemClock
from corelib.dynamo.layout import mark_key
from corelib.dynamo.store import Dynamo
from corelib.errors import Collision, Conflict, Duplicate, Forgotten, Malformed, TooLarge
from corelib.postgres.inbox import forgettable
from corelib.postgres.store import Postgres
from corelib.store import Store
from corelib.transaction import CLOCKS_DIFFER, MAX_ANSWER_BYTES, REMEMBER, Mark, Origin

DAY = timedelta(days=1)
TODAY = datetime.now(UTC)


def origin(clock: ManualClock | None = None) -> Origin:
    return Origin("test", clock or SystemClock(), frozenset())


@pytest.fixture
def schema() -> str:
    return f"t{uuid4().hex[:10]}"


@pytest_asyncio.fixture
async def postgres(postgres_dsn: str, schema: str) -> AsyncIterator[Postgres]:
    store = Postgres(postgres_dsn, schema=schema)
    await store.provision()
    await store.open(origin())
    yield store
    await store.close()


@pytest_asyncio.fixture
async def dynamo(aws_endpoint: str) -> AsyncIterator[Dynamo]:
    store = Dynamo("shop", Aws(endpoint_url=aws_endpoint, prefix=f"t{uuid4().hex[:10]}-"))
    await store.provision()
    await store.open(origin())
    yield store
    await store.close()


@pytest.fixture(params=["postgres", "dynamo"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest_asyncio.fixture
async def beside(postgres_dsn: str, schema: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of somebody else to the same schema."""
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": schema})
    yield connection
    await connection.close()


async def do(store: Store, mark: Mark, body: bytes | None = None) -> None:
    async with store.transaction(mark=mark) as tx:
        if body is not None:
            tx.remember(body)


def event(made: datetime, scope: str = "A.did") -> Mark:
    return Mark(scope, str(uuid4()), made)


@pytest.mark.parametrize("age", [-DAY / 2, timedelta(0), DAY, 7 * DAY, REMEMBER - DAY / 24])
async def test_an_event_is_done_once_however_long_ago_it_was_made(store: Store, age: timedelta) -> None:
    mark = event(datetime.now(UTC) - age)
    assert await store.recall(mark) == (False, None)
    for _ in range(8):  # a store that lacks the day's table makes it, and has the work run again
        try:
            await do(store, mark, b"kept")
        except Conflict:
            continue
        break
    with pytest.raises(Duplicate) as caught:
        await do(store, mark, b"other")
    assert caught.value.remembered == b"kept"
    assert await store.recall(mark) == (True, b"kept")
    assert await store.recall(Mark("B.did", mark.id, mark.made)) == (False, None)


async def test_an_event_older_than_is_remembered_is_refused_not_done_again(store: Store) -> None:
    old = event(datetime.now(UTC) - REMEMBER - timedelta(minutes=1))
    with pytest.raises(Forgotten, match="remembers 14 days"):
        await do(store, old)
    with pytest.raises(Forgotten):
        await store.recall(old)


async def test_an_event_from_the_future_is_refused(store: Store) -> None:
    with pytest.raises(Malformed, match="yet to come"):
        await do(store, event(datetime.now(UTC) + CLOCKS_DIFFER + timedelta(minutes=1)))


async def test_a_callers_key_counts_once_and_its_answer_is_kept(store: Store) -> None:
    key = Mark("http:POST:/orders:me", "key-1")
    await do(store, key, b"first")
    with pytest.raises(Duplicate) as caught:
        await do(store, key, b"second")
    assert caught.value.remembered == b"first"
    assert await store.recall(key) == (True, b"first")


async def test_an_answer_is_kept_up_to_a_limit_that_every_store_has(store: Store) -> None:
    key, longest = Mark("http:POST:/" + "o" * 200, "k" * 255), b"x" * MAX_ANSWER_BYTES
    with pytest.raises(TooLarge, match=f"an answer of {MAX_ANSWER_BYTES + 1} bytes .* it may have {MAX_ANSWER_BYTES}"):
        await do(store, key, longest + b"x")
    assert await store.recall(key) == (False, None)
    await do(store, key, longest)
    assert await store.recall(key) == (True, longest)


async def test_of_many_that_use_a_key_at_once_one_does_the_work(store: Store) -> None:
    key = Mark("http:POST:/orders:me", "key-2")
    outcomes = await asyncio.gather(*(do(store, key) for _ in range(8)), return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert all(isinstance(outcome, Duplicate | Conflict) for outcome in outcomes if outcome is not None)


async def test_a_key_is_written_for_tomorrow_too(postgres: Postgres) -> None:
    await do(postgres, Mark("http:POST:/orders:me", "key-0"), b"answer")
    rows = await postgres.pool.fetch("SELECT day - (now() AT TIME ZONE 'UTC')::date, remembered FROM inbox ORDER BY 1")
    assert [tuple(row) for row in rows] == [(0, b"answer"), (1, None)]


async def written_yesterday(connection: asyncpg.Connection, key: Mark) -> None:
    """What a transaction wrote that began just before midnight: its day, and the day after."""
    for day in (TODAY - DAY, TODAY):
        await connection.execute(
            "INSERT INTO inbox (day, scope, id, remembered) VALUES ($1, $2, $3, $4)",
            day.date(), key.scope, key.id, b"yesterday" if day < TODAY else None,
        )  # fmt: skip


async def test_a_key_stays_unique_over_midnight(postgres: Postgres, beside: asyncpg.Connection) -> None:
    key = Mark("http:POST:/orders:me", "key-3")
    await postgres._inbox.make(TODAY - DAY)
    await written_yesterday(beside, key)
    with pytest.raises(Duplicate) as caught:
        await do(postgres, key, b"today")
    assert caught.value.remembered == b"yesterday"


async def test_two_that_do_not_see_each_other_at_midnight_meet_in_the_table_of_the_next_day(
    postgres: Postgres, beside: asyncpg.Connection
) -> None:
    key = Mark("http:POST:/orders:me", "key-4")
    await postgres._inbox.make(TODAY - DAY)
    async with beside.transaction():
        await written_yesterday(beside, key)
        waiting = asyncio.create_task(do(postgres, key, b"today"))
        while not await postgres.pool.fetchval(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
        ):
            assert not waiting.done()
    with pytest.raises(Duplicate):
        await waiting


async def days(postgres: Postgres) -> list[date]:
    rows = await postgres.pool.fetch("SELECT relname FROM pg_class WHERE relname ~ '^inbox_[0-9]+$' AND relkind = 'r'"
                                     " AND relnamespace = current_schema::regnamespace ORDER BY 1")  # fmt: skip
    return [datetime.strptime(row["relname"], "inbox_%Y%m%d").replace(tzinfo=UTC).date() for row in rows]


async def test_days_are_made_ahead_and_dropped_whole(postgres: Postgres) -> None:
    today = await postgres.pool.fetchval("SELECT (now() AT TIME ZONE 'UTC')::date")
    ahead = [today, today + DAY, today + 2 * DAY]
    old, kept = TODAY - REMEMBER - 3 * DAY, TODAY - REMEMBER - DAY
    await postgres._inbox.make(old, kept)
    assert await days(postgres) == [old.date(), kept.date(), *ahead]
    await postgres._inbox.forget(origin())
    assert await days(postgres) == [kept.date(), *ahead]


async def test_a_clock_that_jumped_ahead_forgets_nothing(postgres: Postgres) -> None:
    before = await days(postgres)
    await postgres._inbox.forget(origin(ManualClock(TODAY + 1_000 * DAY)))
    assert await days(postgres) == before


async def test_many_may_make_the_same_days(postgres: Postgres) -> None:
    made = [TODAY - number * DAY for number in range(3)]
    outcomes = await asyncio.gather(*(postgres._inbox.make(*made) for _ in range(5)), return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, Conflict) for outcome in outcomes)
    assert {time.date() for time in made} <= set(await days(postgres))


async def test_a_day_that_somebody_reads_is_dropped_later_and_nobody_waits_for_that(
    postgres: Postgres, beside: asyncpg.Connection
) -> None:
    old = TODAY - REMEMBER - 5 * DAY
    await postgres._inbox.make(old)
    async with beside.transaction():
        await beside.fetch("SELECT count(*) FROM inbox")  # a backup, say: for hours
        with pytest.raises(Conflict):
            await postgres._inbox.forget(origin())
        await do(postgres, event(TODAY))
    await postgres._inbox.forget(origin())
    assert old.date() not in await days(postgres)


@pytest.mark.parametrize("mark", [event(TODAY), Mark("http:POST:/orders:me", "key-5")], ids=["event", "key"])
async def test_a_mark_costs_one_statement(postgres: Postgres, mark: Mark) -> None:
    statements: list[str] = []
    async with postgres.transaction(mark=mark) as tx:
        tx.connection.add_query_logger(lambda query: statements.append(query.query))
    assert len([text for text in statements if "inbox" in text]) == 1


@given(
    made=st.timedeltas(timedelta(0), 400 * DAY).map(lambda later: TODAY + later),
    age=st.timedeltas(timedelta(0), REMEMBER),
    skew=st.timedeltas(-CLOCKS_DIFFER, CLOCKS_DIFFER),
)  # fmt: skip
def test_no_day_is_dropped_whose_events_are_still_taken(made: datetime, age: timedelta, skew: timedelta) -> None:
    now = made + age
    origin(ManualClock(now)).require_remembered(event(made))
    assert forgettable([made.date()], (now + skew).date(), REMEMBER) == []


def test_a_day_is_dropped_in_the_end() -> None:
    assert forgettable([TODAY.date()], (TODAY + REMEMBER + 3 * DAY).date(), REMEMBER) == [TODAY.date()]


@pytest.mark.parametrize("age", [timedelta(0), REMEMBER / 2, -CLOCKS_DIFFER / 2])
async def test_on_dynamodb_a_mark_outlives_its_events_acceptance_by_anybodys_clock(
    dynamo: Dynamo, age: timedelta
) -> None:
    now = datetime.now(UTC)
    mark = event(now - age)
    await do(dynamo, mark)
    answer = await dynamo._client.call("GetItem", TableName=dynamo._table, Key=mark_key(mark.scope, mark.id))
    expires = datetime.fromtimestamp(int(answer["Item"]["expires_at"]["N"]), UTC)
    assert mark.made is not None
    assert expires >= mark.made + REMEMBER + CLOCKS_DIFFER - timedelta(seconds=1)
    assert expires >= now + REMEMBER


async def test_inbox_is_made_again_where_it_is_missing(postgres: Postgres, beside: asyncpg.Connection) -> None:
    for day in await days(postgres):
        await beside.execute(f"DROP TABLE inbox_{day:%Y%m%d}")
    with pytest.raises(Conflict, match="no table of this day"):
        await do(postgres, event(TODAY))
    await do(postgres, event(TODAY))


async def test_a_table_of_the_service_may_be_named_as_those_of_the_inbox_are(postgres: Postgres) -> None:
    await postgres.pool.execute(
        "CREATE TABLE inbox_items (name text PRIMARY KEY); INSERT INTO inbox_items VALUES ('a')"
    )
    with pytest.raises(Collision):
        async with postgres.transaction(mark=Mark("Handler.on", "e-1", TODAY)) as tx:
            await tx.execute("INSERT INTO inbox_items VALUES ('a')")
