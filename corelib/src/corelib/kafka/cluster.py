"""Which Kafka cluster to speak to, and how it is convinced of who speaks: nothing, TLS, or AWS' IAM as MSK asks for."""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.helpers import create_ssl_context

from corelib.addresses import Bootstrap, require
from corelib.errors import SettingsError

Security = Literal["plaintext", "tls", "iam"]
# A token lives for 15 minutes; one that is about to end helps no new connection.
_SPARE_SECONDS = 60.0
_PROBE_SECONDS = 2.0
_RIGHTS = {
    ClusterAuthorizationFailedError: "the cluster",
    GroupAuthorizationFailedError: "the consumer group",
    TopicAuthorizationFailedError: "the topic",
    TransactionalIdAuthorizationFailed: "the transactional id",
}


@dataclass(frozen=True)
class Cluster:
    """`bootstrap` is `host:port[,host:port]`.

    `tls` trusts `ca_file`, or the system's authorities, and shows `certificate_file` with `key_file` to brokers that
    ask for one (all PEM). `iam` is TLS with the role of this process in `region` (SASL/OAUTHBEARER, MSK's port 9098).
    """

    bootstrap: str
    security: Security = "plaintext"
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    region: str = ""

    def __post_init__(self) -> None:
        """Raise `SettingsError` for what is no address, does not go together, or cannot be read."""
        require(Bootstrap, "bootstrap", self.bootstrap)
        if self.security == "plaintext" and (self.ca_file or self.certificate_file or self.key_file):
            raise SettingsError("certificates mean nothing to Kafka in plain text: set SOUK_KAFKA_SECURITY=tls")
        if (self.certificate_file is None) != (self.key_file is None):
            raise SettingsError("SOUK_KAFKA_CERTIFICATE_FILE and SOUK_KAFKA_KEY_FILE go together: one is not set")
        if self.security != "plaintext":
            _ = self._trust

    @cached_property
    def options(self) -> dict[str, Any]:
        """What every client of aiokafka is told."""
        told: dict[str, Any] = {"bootstrap_servers": self.bootstrap}
        if self.security == "tls":
            told |= {"security_protocol": "SSL", "ssl_context": self._trust}
        elif self.security == "iam":
            told |= {
                "security_protocol": "SASL_SSL",
                "ssl_context": self._trust,
                "sasl_mechanism": "OAUTHBEARER",
                "sasl_oauth_token_provider": Tokens(lambda: _signed(self.region)),
            }
        return told

    async def why(self) -> str:
        """Say why brokers turn this process away, as far as TLS and tokens tell: the clients keep it to themselves."""
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                if self.security == "iam":
                    await self.options["sasl_oauth_token_provider"].token()
                if self.security != "plaintext":
                    await self._shake_hands()
        except ssl.SSLError as error:
            return f"; TLS says {error}"
        except SaslAuthenticationFailed as error:
            return f"; {error}"
        except (OSError, TimeoutError):  # silent, or not there at all: the client has said so
            return ""
        return ""

    async def _shake_hands(self) -> None:
        host, _, port = self.bootstrap.split(",")[0].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=self._trust)
        try:
            # A broker judges our certificate after the handshake (TLS 1.3), and says so on the first read.
            await reader.read(1)
        finally:
            writer.close()

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        try:
            context: ssl.SSLContext = create_ssl_context(
                cafile=_path(self.ca_file), certfile=_path(self.certificate_file), keyfile=_path(self.key_file)
            )
        except (OSError, ssl.SSLError) as error:
            files = {"CA": self.ca_file, "CERTIFICATE": self.certificate_file, "KEY": self.key_file}
            given = ", ".join(f"SOUK_KAFKA_{name}_FILE={file}" for name, file in files.items() if file)
            raise SettingsError(f"Kafka's certificates cannot be read from {given}: {error}") from error
        return context


class Tokens(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka ships no types
    """Gives every connection a token, made anew when the last one is about to end.

    `make` returns one and when it ends, in seconds since 1970.
    """

    def __init__(self, make: Callable[[], tuple[str, float]]) -> None:
        self._make = make
        self._token = ""
        self._ends = 0.0
        self._making = asyncio.Lock()

    async def token(self) -> str:
        """Return a token. Raises `SaslAuthenticationFailed` where no credentials are found."""
        async with self._making:
            if time.time() > self._ends - _SPARE_SECONDS:
                try:
                    # In a thread: credentials may come over the network.
                    self._token, self._ends = await asyncio.to_thread(self._make)
                except Exception as error:
                    raise SaslAuthenticationFailed(f"no token for Kafka: {error}") from error
        return self._token


def _signed(region: str) -> tuple[str, float]:
    # Here, as few processes need it and it brings boto3.
    from aws_msk_iam_sasl_signer import MSKAuthTokenProvider  # noqa: PLC0415

    token, milliseconds = MSKAuthTokenProvider.generate_auth_token(region)
    return token, milliseconds / 1_000


def _path(file: Path | None) -> str | None:
    return None if file is None else str(file)


def reason_of(error: BaseException) -> str:
    """Say what a client of Kafka failed of: in plain words where a right is lacking."""
    if (what := _RIGHTS.get(type(error))) is None:
        return repr(error)
    return f"this client lacks a right to {what}: grant it that ({error})"


def unseen(topic: str, error: BaseException) -> str:
    """Say why nobody tells a topic's partitions, and what to do about it."""
    if type(error) in _RIGHTS:
        return reason_of(error)
    return (
        f"topic {topic} does not exist, or no broker tells of it: create it, what waits goes on by itself ({error!r})"
    )
