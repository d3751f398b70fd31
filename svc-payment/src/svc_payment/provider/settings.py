"""How the local payment provider behaves, and misbehaves."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

Rate = Annotated[float, Field(ge=0, le=1)]


class ProviderSettings(BaseSettings):
    """Rates are shares of all charges, decided by a hash of the reference: the same in every run."""

    model_config = SettingsConfigDict(env_prefix="SOUK_PROVIDER_", frozen=True, extra="ignore")

    webhook_secret: SecretStr
    webhook_url: str = "http://127.0.0.1:8084/api/v1/payments/webhooks"
    state_file: Path | None = None
    decline_rate: Rate = 0.05
    timeout_rate: Rate = 0.02
    webhook_duplicate_rate: Rate = 0.2
    webhook_late_rate: Rate = 0.2
    webhook_late_seconds: float = Field(default=3.0, ge=0)
    timeout_seconds: float = Field(default=4.0, ge=0)


class WellBehaved(ProviderSettings):
    """Behaves unless it is told not to: for a payment service that runs alone."""

    decline_rate: Rate = 0.0
    timeout_rate: Rate = 0.0
    webhook_duplicate_rate: Rate = 0.0
    webhook_late_rate: Rate = 0.0


class ServerSettings(BaseSettings):
    """Where it listens."""

    model_config = SettingsConfigDict(env_prefix="SOUK_", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = 8090
