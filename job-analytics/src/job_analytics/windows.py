"""The job's arithmetic, from Kafka records to minutes: transformations only, nothing is read or written here.

Kafka delivers at least once, so orders are counted as a set: an order that comes twice is one order. One stateful
operator does it all, since Spark takes no second one in update mode (Structured Streaming guide, "Output Modes").
"""

from datetime import timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

from contracts.orders import OrderConfirmed

_BODY = "order_id STRING, user_id STRING, total STRUCT<amount: BIGINT, currency: STRING>, placed_at STRING"
_AHEAD = timedelta(hours=1)
"""A clock that is further ahead than this is wrong; it would move the watermark and shut out all others."""


def judged(records: DataFrame, watermark: timedelta) -> DataFrame:
    """Return the confirmed orders of Kafka records, each with `reason`: why it cannot be counted, or null.

    Takes the columns key, value, headers and timestamp; adds type, order_id, user_id, currency, amount, placed_at.
    """
    named = records.withColumn("type", _header("ce_type"))
    body = named.withColumn("body", f.from_json(f.col("value").cast("string"), _BODY)).select(
        "key", "value", "headers", "timestamp", "type", "body.*"
    )
    typed = body.withColumns(
        {
            "placed_at": f.try_to_timestamp("placed_at"),
            "currency": f.col("total.currency"),
            "amount": f.col("total.amount"),
        }
    ).drop("total")
    return typed.filter(f.col("type").isNull() | (f.col("type") == OrderConfirmed.type)).withColumn(
        "reason", _reason(watermark)
    )


def by_minute(confirmed: DataFrame, watermark: timedelta) -> DataFrame:
    """Return a row a minute: window_start, window_end, orders, users, revenue (minor units by currency)."""
    order = f.struct("order_id", "user_id", "currency", "amount")
    minutes = (
        confirmed.withWatermark("placed_at", _interval(watermark))
        .groupBy(f.window("placed_at", "1 minute"))
        .agg(f.collect_set(order).alias("seen"))
    )
    users = f.array_distinct(f.transform("seen", lambda one: one["user_id"]))
    return minutes.select(
        f.col("window.start").alias("window_start"),
        f.col("window.end").alias("window_end"),
        f.size("seen").alias("orders"),
        f.size(users).alias("users"),
        _revenue().alias("revenue"),
    )


def _revenue() -> Column:
    currencies = f.array_distinct(f.transform("seen", lambda one: one["currency"]))

    def earned(currency: Column) -> Column:
        sold = f.filter("seen", lambda one: one["currency"] == currency)
        return f.aggregate(sold, f.lit(0).cast("bigint"), lambda total, one: total + one["amount"])

    return f.map_from_arrays(currencies, f.transform(currencies, earned))


def _header(name: str) -> Column:
    values = f.filter("headers", lambda header: header["key"] == name)
    return f.get(values, f.lit(0))["value"].cast("string")


def _reason(watermark: timedelta) -> Column:
    late, ahead = (
        f.expr(f"timestamp {sign} INTERVAL '{_interval(by)}'") for sign, by in (("-", watermark), ("+", _AHEAD))
    )
    return (
        f.when(f.col("type").isNull(), "no CloudEvent: the header ce_type is missing")
        .when(f.col("order_id").isNull(), "no order_id")
        .when(f.col("user_id").isNull(), "no user_id")
        .when(f.col("currency").isNull(), "no total.currency")
        .when(f.col("amount").isNull(), "no total.amount, or not an integer")
        .when(f.col("placed_at").isNull(), "no placed_at, or not a time")
        .when(f.col("placed_at") > ahead, "placed_at lies in the future")
        .when(f.col("placed_at") < late, "placed_at lies behind the watermark")
    )


def _interval(span: timedelta) -> str:
    return f"{int(span.total_seconds())} seconds"
