"""What svc-user can be told."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr

from corelib.config import Port, ServiceSettings


class UserSettings(ServiceSettings):
    """Argon2id's defaults are RFC 9106's second recommendation (64 MiB, 3 passes)."""

    port: Port = 8081
    signing_key_file: Path = Field(
        default=Path(".souk/secrets/signing-key.pem"), description="Ed25519 private key in PEM; made if provisioning."
    )
    token_seconds: int = Field(default=3_600, ge=60, description="How long an access token lives.")
    argon2_memory_kib: int = Field(default=65_536, ge=8)
    argon2_passes: int = Field(default=3, ge=1)
    argon2_lanes: int = Field(default=4, ge=1)
    admin_email: str = Field(default="", description="An account with the role admin, made at start; empty is none.")
    admin_password: SecretStr = SecretStr("")

    @property
    def token_lifetime(self) -> timedelta:
        """Return the lifetime of a token."""
        return timedelta(seconds=self.token_seconds)
