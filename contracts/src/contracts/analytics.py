"""What the analytics job says: one minute of confirmed orders, keyed by the start of the minute."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from contracts.channels import ANALYTICS_RESULTS
from contracts.money import Currency
from corelib.message import Event

Count = Annotated[int, Field(ge=0)]


class OrderWindow(Event, type="souk.analytics.order-window.v1", channels=(ANALYTICS_RESULTS,), key="window_start"):
    """A minute of confirmed orders, by the time they were placed. A later one of the same minute replaces it."""

    window_start: datetime
    window_end: datetime
    orders: Count
    users: Annotated[int, Field(ge=0, description="Different buyers, counted exactly.")]
    revenue: Annotated[dict[Currency, int], Field(description="Minor units by currency.")]
