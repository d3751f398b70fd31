"""Money: minor units and an ISO 4217 currency; never a float."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["USD"])]


class Money(BaseModel):
    """An amount in minor units (cents for USD)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Annotated[int, Field(strict=True, ge=0, le=10**12)]
    currency: Currency
