"""What svc-product can be told."""

from datetime import timedelta

from pydantic import Field

from corelib.config import Port, ServiceSettings


class ProductSettings(ServiceSettings):
    """A reservation must outlive an order's deadline, or paid goods could be sold twice."""

    port: Port = 8082
    reservation_seconds: int = Field(default=900, ge=1, description="How long stock is kept for an unpaid order.")

    @property
    def reservation_time(self) -> timedelta:
        """Return how long a reservation lives."""
        return timedelta(seconds=self.reservation_seconds)
