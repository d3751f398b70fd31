"""The arithmetic of the job against a model of a few lines."""

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from contracts.analytics import OrderWindow
from contracts.orders import OrderConfirmed
from job_analytics.job import collected
from job_analytics.windows import by_minute, judged

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WATERMARK = timedelta(minutes=30)
COLUMNS = "key BINARY, value BINARY, headers ARRAY<STRUCT<key: STRING, value: BINARY>>, timestamp TIMESTAMP"
GOOD = {"order_id": "o", "user_id": "u", "total": {"amount": 5, "currency": "USD"}, "placed_at": NOON.isoformat()}


@dataclass(frozen=True)
class Sale:
    order: int
    user: int
    second: int
    amount: int
    currency: str

    def body(self) -> dict[str, Any]:
        placed = NOON + timedelta(seconds=self.second)
        total = {"amount": self.amount, "currency": self.currency}
        return {**GOOD, "order_id": f"o{self.order}", "user_id": f"u{self.user}", "total": total,
                "placed_at": placed.isoformat()}  # fmt: skip


def record(body: object, kind: str | None = OrderConfirmed.type, *, at: datetime = NOON) -> tuple[Any, ...]:
    value = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = [] if kind is None else [("ce_type", bytearray(kind.encode()))]
    return (bytearray(b"key"), bytearray(value), headers, at)


def windows_of(spark: SparkSession, sales: list[Sale]) -> list[OrderWindow]:
    records = spark.createDataFrame([record(sale.body()) for sale in sales], COLUMNS)
    return collected(by_minute(judged(records, WATERMARK), WATERMARK))


def reasons(spark: SparkSession, *records: tuple[Any, ...]) -> list[str | None]:
    rows = judged(spark.createDataFrame(list(records), COLUMNS), WATERMARK).select("reason").collect()
    return [row.reason for row in rows]


def model(sales: list[Sale]) -> list[OrderWindow]:
    by_start: dict[datetime, dict[int, Sale]] = defaultdict(dict)
    for sale in sales:
        by_start[NOON + timedelta(minutes=sale.second // 60)][sale.order] = sale
    found = []
    for start, orders in sorted(by_start.items()):
        revenue: dict[str, int] = defaultdict(int)
        for sale in orders.values():
            revenue[sale.currency] += sale.amount
        users = len({sale.user for sale in orders.values()})
        end = start + timedelta(minutes=1)
        found.append(OrderWindow(window_start=start, window_end=end, orders=len(orders), users=users, revenue=revenue))
    return found


def sales() -> st.SearchStrategy[list[Sale]]:
    one = st.builds(
        Sale, st.integers(0, 10**6), st.integers(0, 4), st.integers(0, 179), st.integers(0, 10**12),
        st.sampled_from(["USD", "EUR", "INR"]),
    )  # fmt: skip
    return st.lists(one, min_size=1, max_size=30, unique_by=lambda sale: sale.order)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sales(), st.randoms(use_true_random=False))
def test_minutes_equal_the_orders_however_often_each_is_delivered(
    spark: SparkSession, sold: list[Sale], chance: Any
) -> None:
    delivered = sold + chance.choices(sold, k=len(sold))
    chance.shuffle(delivered)
    assert windows_of(spark, delivered) == model(sold)


def test_other_events_of_the_topic_are_passed_over(spark: SparkSession) -> None:
    assert reasons(spark, record({}, "souk.order.placed.v1"), record(GOOD)) == [None]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff{", "no order_id"),
        ([1], "no order_id"),
        ({**GOOD, "order_id": None}, "no order_id"),
        ({**GOOD, "user_id": None}, "no user_id"),
        ({**GOOD, "total": {"amount": 5}}, "no total.currency"),
        ({**GOOD, "total": {"amount": "much", "currency": "USD"}}, "no total.amount, or not an integer"),
        ({**GOOD, "total": {"amount": 5.5, "currency": "USD"}}, "no total.amount, or not an integer"),
        ({**GOOD, "placed_at": "yesterday"}, "no placed_at, or not a time"),
        ({**GOOD, "placed_at": (NOON + timedelta(hours=2)).isoformat()}, "placed_at lies in the future"),
        ({**GOOD, "placed_at": (NOON - timedelta(hours=1)).isoformat()}, "placed_at lies behind the watermark"),
    ],
)
def test_what_cannot_be_counted_says_why(spark: SparkSession, body: object, reason: str) -> None:
    assert reasons(spark, record(body)) == [reason]


def test_a_record_without_a_type_cannot_be_counted(spark: SparkSession) -> None:
    assert reasons(spark, record(GOOD, None)) == ["no CloudEvent: the header ce_type is missing"]
