"""Where the stack lives and listens: defaults, overridden by SOUK_* variables."""

import json
import random
import socket
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from devstack import keys

HOST = "127.0.0.1"
SERVICES = ("user", "product", "order", "payment")
# Below the range the kernel hands to outgoing connections: a port found free there stays free.
_FREE_PORTS = range(20_000, 32_000)


def _checkout() -> Path:
    root = Path(__file__).resolve().parents[3]
    return root if (root / "requirements.lock").exists() else Path.cwd()


class StackSettings(BaseSettings):
    """Ports, folders and external endpoints of one stack; `home` keeps its state, logs, data and secrets."""

    model_config = SettingsConfigDict(
        env_prefix="SOUK_", frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True
    )

    home: Path = Field(default_factory=lambda: _checkout() / ".souk")
    cache: Path = Field(default_factory=lambda: Path.home() / ".cache" / "souk")
    relays_apart: bool = Field(default=False, description="Each service's relay in a process of its own.")
    analytics: bool = Field(default=True, validation_alias="ANALYTICS")
    iac: bool = Field(default=False, validation_alias="IAC", description="Terraform makes what there is of AWS.")

    gateway_port: int = 8080
    user_port: int = 8081
    product_port: int = 8082
    order_port: int = 8083
    payment_port: int = 8084
    provider_port: int = 8090
    user_relay_port: int = 8091
    product_relay_port: int = 8092
    order_relay_port: int = 8093
    payment_relay_port: int = 8094
    postgres_port: int = 55432
    kafka_port: int = 59092
    kafka_controller_port: int = 59093
    kafka_doors: Mapping[int, int] = Field(
        default_factory=dict, description="Further ports of Kafka, each with the one that it tells its clients to use."
    )
    kafka_locks: Mapping[int, Mapping[str, str]] = Field(
        default_factory=dict,
        description="What such a port asks of clients: `security.protocol`, and the listener's settings.",
    )
    kafka_rights: bool = Field(
        default=False,
        description="Whether Kafka asks for rights to what has a list of them; never in plain text.",
    )
    aws_port: int = 54566
    bigquery_port: int = 59050
    bigquery_grpc_port: int = 59060

    aws_region: str = "ap-south-1"
    prefix: str = Field(default="souk-", validation_alias="SOUK_AWS_PREFIX")
    admin_email: str = "admin@example.com"

    external_postgres: str | None = Field(default=None, validation_alias="SOUK_POSTGRES_DSN")
    external_kafka: str | None = Field(default=None, validation_alias="SOUK_KAFKA_BOOTSTRAP")
    external_aws: str | None = Field(default=None, validation_alias="SOUK_AWS_ENDPOINT_URL")
    external_bigquery: str | None = Field(default=None, validation_alias="SOUK_BIGQUERY_URL")

    @classmethod
    def on_free_ports(cls, home: Path, **fixed: int) -> Self:
        """Return settings of a stack of its own in `home`, with every port that is not given a free one."""
        names = [name for name in cls.model_fields if name.endswith("_port") and name not in fixed]
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        return cls.model_validate({"home": home, **ports, **fixed})

    @cached_property
    def secrets(self) -> keys.Secrets:
        """The secrets of this stack, generated at their first use."""
        return keys.Secrets(self.home / "secrets")

    @property
    def outputs_file(self) -> Path:
        """Where Terraform's outputs are, once it has made what there is of AWS."""
        return self.home / "iac" / "outputs.json"

    @property
    def aws_prefix(self) -> str:
        """What the names of tables, queues and buckets begin with."""
        if not self.outputs_file.exists():
            return self.prefix
        return str(json.loads(self.outputs_file.read_text())["settings"]["SOUK_AWS_PREFIX"])

    @property
    def gateway_url(self) -> str:
        """Where the shop's public API answers."""
        return f"http://{HOST}:{self.gateway_port}"

    @property
    def provider_url(self) -> str:
        """Where the payment provider answers."""
        return f"http://{HOST}:{self.provider_port}"

    @property
    def postgres_dsn(self) -> str:
        """The database of all services that use PostgreSQL."""
        if self.external_postgres:
            return self.external_postgres
        return f"postgresql://souk:{self.secrets.postgres_password()}@{HOST}:{self.postgres_port}/souk"

    @property
    def kafka_bootstrap(self) -> str:
        """Kafka's address, host:port."""
        return self.external_kafka or f"{HOST}:{self.kafka_port}"

    @property
    def aws_endpoint_url(self) -> str:
        """Where DynamoDB, S3, SQS, SES and Lambda answer."""
        return self.external_aws or f"http://{HOST}:{self.aws_port}"

    @property
    def bigquery_url(self) -> str:
        """Where BigQuery's REST API answers."""
        return self.external_bigquery or f"http://{HOST}:{self.bigquery_port}"

    def admin_password(self) -> str:
        """Return the password of the shop's first administrator."""
        return self.secrets.admin_password()

    def service_port(self, service: str) -> int:
        """Return the port of a service, e.g. "order", or of its relay, "order-relay"."""
        return int(getattr(self, f"{service.replace('-', '_')}_port"))

    def service_url(self, service: str) -> str:
        """Return the address of a service, behind the gateway."""
        return f"http://{HOST}:{self.service_port(service)}"

    def metrics_urls(self) -> dict[str, str]:
        """Return the metrics page of each service, and of each relay that runs apart, by its name."""
        relays = [f"{service}-relay" for service in SERVICES] if self.relays_apart else []
        return {service: f"{self.service_url(service)}/metrics" for service in (*SERVICES, *relays)}


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a port of this machine."""
    with socket.socket() as probe:
        # As every server does: a connection that lingers from the last run does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Return ports nobody listens on, all different."""
    found: list[int] = []
    for port in random.sample(_FREE_PORTS, len(_FREE_PORTS)):
        if is_free(port):
            found.append(port)
        if len(found) == count:
            break
    return found
