"""What svc-order can be told."""

from datetime import timedelta

from pydantic import Field

from corelib.config import Port, ServiceSettings


class OrderSettings(ServiceSettings):
    """The deadline must be shorter than svc-product's reservation: what is paid must still be held."""

    port: Port = 8083
    order_deadline_seconds: int = Field(default=600, ge=1, description="An order not final by then is cancelled.")
    price_cache_seconds: float = Field(default=2.0, ge=0, description="How long a price is remembered in the process.")

    @property
    def order_deadline(self) -> timedelta:
        """Return the time an order may stay open."""
        return timedelta(seconds=self.order_deadline_seconds)
