"""What svc-payment can be told."""

from pydantic import Field, SecretStr

from corelib.addresses import Url
from corelib.config import Port, ServiceSettings


class PaymentSettings(ServiceSettings):
    """The webhook secret is shared with the provider."""

    port: Port = 8084
    provider_url: Url = "http://127.0.0.1:8090"
    provider_seconds: float = Field(default=2.0, gt=0, description="Deadline of one call to the provider.")
    provider_webhook_secret: SecretStr | None = Field(
        default=None, description="Signs the provider's webhooks; required unless in memory."
    )
    webhook_tolerance_seconds: int = Field(default=300, ge=1, description="How old a signature may be.")
