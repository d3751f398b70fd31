"""What a transaction on DynamoDB reads, its commit proves; what this process wrote, it remembers."""

import pytest

from corelib.dynamo.store import Dynamo
from corelib.dynamo.transaction import DynamoTransaction
from corelib.errors import Conflict, Problem
from corelib.metrics import AWS_CALLS
from corelib.once import run_once
from corelib.transaction import Mark, Transaction
from dynamo.shop import CARTS, Open


def gets() -> float:
    return float(AWS_CALLS.labels("dynamodb", "GetItem")._value.get())


async def test_a_transaction_reads_what_it_has_written(store: Dynamo) -> None:
    async with store.transaction() as tx:
        assert await tx.get(CARTS, {"user_id": "u-1"}) is None
        tx.put(CARTS, {"user_id": "u-1", "version": 1})
        assert await tx.get(CARTS, {"user_id": "u-1"}) == {"user_id": "u-1", "version": 1}
        tx.delete(CARTS, {"user_id": "u-1"})
        assert await tx.get(CARTS, {"user_id": "u-1"}) is None


async def test_what_this_process_wrote_a_moment_ago_is_read_without_a_call(store: Dynamo) -> None:
    async with store.transaction() as tx:
        tx.put(CARTS, {"user_id": "u-1", "version": 1}, new=True)
    before = gets()
    async with store.transaction() as tx:
        assert await tx.get(CARTS, {"user_id": "u-1"}) == {"user_id": "u-1", "version": 1}
        tx.put(CARTS, {"user_id": "u-1", "version": 2}, version=1)
    assert gets() == before


async def test_a_decision_on_what_has_changed_meanwhile_is_a_conflict(open_store: Open) -> None:
    store, other = await open_store(), await open_store()
    await store.put(CARTS, {"user_id": "u-1", "version": 1})

    async def decide(user: str, *, write: bool) -> None:
        async with store.transaction(mark=Mark("h", user)) as tx:
            await tx.get(CARTS, {"user_id": user})
            await other.put(CARTS, {"user_id": user, "version": 7})
            if write:
                tx.put(CARTS, {"user_id": user, "version": 2})

    for user, write in (("u-1", False), ("u-2", False), ("u-3", True)):
        with pytest.raises(Conflict):
            await decide(user, write=write)
        assert await store.recall(Mark("h", user)) == (False, None)


@pytest.mark.parametrize("failing", [False, True])
async def test_who_was_misled_by_what_the_process_remembered_is_run_again(open_store: Open, *, failing: bool) -> None:
    store, other = await open_store(), await open_store()
    async with store.transaction() as tx:
        tx.put(CARTS, {"user_id": "u-1", "version": 1}, new=True)
    await other.put(CARTS, {"user_id": "u-1", "version": 2})
    seen: list[int] = []

    async def decide(tx: Transaction) -> None:
        assert isinstance(tx, DynamoTransaction)
        cart = await tx.get(CARTS, {"user_id": "u-1"}) or {}
        seen.append(cart["version"])
        if failing and cart["version"] == 1:
            raise Problem(409, "too-early", "Not yet.")

    await run_once(store, decide, mark=Mark("h", "1"))
    assert seen == [1, 2]


async def test_a_failure_on_fresh_reads_is_told_as_it_is(store: Dynamo) -> None:
    await store.put(CARTS, {"user_id": "u-1", "version": 1})

    async def fail(tx: Transaction) -> None:
        assert isinstance(tx, DynamoTransaction)
        await tx.get(CARTS, {"user_id": "u-1"})
        raise Problem(409, "too-early", "Not yet.")

    with pytest.raises(Problem):
        await run_once(store, fail)


async def test_a_transaction_that_only_read_makes_no_call_to_commit(store: Dynamo) -> None:
    transactions = AWS_CALLS.labels("dynamodb", "TransactWriteItems")
    await store.put(CARTS, {"user_id": "u-1", "version": 1})
    before = transactions._value.get()
    async with store.transaction() as tx:
        assert await tx.get(CARTS, {"user_id": "u-1"}) == {"user_id": "u-1", "version": 1}
    assert transactions._value.get() == before
