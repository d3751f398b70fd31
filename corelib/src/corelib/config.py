"""Settings from the environment: one frozen class per service; wrong values are named before anything is opened."""

import json
import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from corelib.addresses import MALFORMED_DSN, Bootstrap, Dsn, Url
from corelib.aws.clients import Aws
from corelib.errors import SettingsError
from corelib.kafka.cluster import Cluster, Security

S = TypeVar("S", bound=BaseSettings)
PREFIX = "SOUK_"
OF_SERVERS = ("postgres_", "kafka_", "aws_")
"""How the settings begin that mean nothing to a service in memory."""
Port = Annotated[int, Field(ge=0, le=65_535)]
"""A TCP port; 0 lets the system choose."""
# What a passing resemblance has: SOUK_TEST_KAFKA_BOOTSTRAP, of our tests, is 0.86 of SOUK_KAFKA_BOOTSTRAP.
_NEAR = 0.88
# To the last @, as asyncpg reads it.
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^:/@\s]*):(\S*)@|(?<=[?&]password=)[^&\s]*")


class ServiceSettings(BaseSettings):
    """What every service can be told; each field is the variable `SOUK_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="Where to listen.")
    port: Port = 8080
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="debug to error.")
    log_format: Literal["json", "text"] = Field(default="json", description="json, or text for people.")
    provision: bool = Field(default=False, description="Create missing tables, topics, queues and buckets at start.")
    grace_seconds: float = Field(default=20.0, gt=0, description="Time to drain after SIGTERM.")
    only: str = Field(default="", description="Parts to run: http,consumer,relay,timers; empty is all.")
    consumer_concurrency: int = Field(default=64, gt=0, description="Keys that are handled at the same time.")
    body_limit_bytes: int = Field(default=262_144, gt=0, description="What a request may send.")
    postgres_dsn: Dsn = Field(default="postgresql://souk@127.0.0.1:55432/postgres", description="The database.")
    kafka_bootstrap: Bootstrap = Field(default="127.0.0.1:59092", description="Some of the brokers, joined by commas.")
    kafka_prefix: str = Field(default="", description="Before the names of topics and groups.")
    kafka_security: Security = Field(default="plaintext", description="tls; or iam, a role of AWS, as MSK asks for.")
    kafka_ca_file: Path | None = Field(default=None, description="Who signs the brokers' certificates; PEM.")
    kafka_certificate_file: Path | None = Field(default=None, description="What to show to brokers that ask; PEM.")
    kafka_key_file: Path | None = Field(default=None, description="The certificate's key; PEM.")
    aws_endpoint_url: Annotated[Url | None, BeforeValidator(lambda given: given or None)] = Field(
        default=None, description="An emulator's address; empty is AWS itself."
    )
    aws_region: str = Field(default="ap-south-1", description="Where the tables and queues are.")
    aws_prefix: str = Field(default="souk-", description="Before the names of tables, queues and buckets.")
    aws_streams: bool = Field(default=True, description="Tell relays by DynamoDB Streams what other replicas commit.")
    aws_sweep_seconds: float = Field(default=1.0, gt=0, description="Without streams, how soon that is found.")
    jwks_url: Url = Field(
        default="http://127.0.0.1:8081/.well-known/jwks.json",
        description="The keys of callers' tokens.",
    )
    commit: str = Field(default="unknown", description="What was built, for /info.")
    in_memory: bool = Field(default=False, description="Keep everything in this process, as --in-memory does.")

    @property
    def url(self) -> str:
        """Return where the service listens."""
        return f"http://{self.host}:{self.port}"

    def kafka(self) -> Cluster:
        """Return the Kafka cluster that these settings name. Raises `SettingsError`."""
        return Cluster(
            self.kafka_bootstrap,
            self.kafka_security,
            self.kafka_ca_file,
            self.kafka_certificate_file,
            self.kafka_key_file,
            self.aws_region,
        )

    def aws(self) -> Aws:
        """Return the AWS account, or emulator, that these settings name."""
        return Aws(region=self.aws_region, endpoint_url=self.aws_endpoint_url, prefix=self.aws_prefix)


def load(kind: type[S]) -> S:
    """Read the settings; raise `SettingsError` that names each wrong variable, what was given, what is allowed."""
    try:
        return kind()
    except ValidationError as error:
        lines = [_explain(kind, problem) for problem in error.errors(include_url=False)] + unheeded(kind)
        raise SettingsError("\n".join(lines)) from error


def misspelt(kind: type[BaseSettings]) -> dict[str, str]:
    """Return the variables that are no setting's but nearly so, each with the one that may be meant.

    No others: an environment is shared with programs whose variables have the same prefix.
    """
    prefix = kind.model_config["env_prefix"]
    names = {name: variable for variable in os.environ if (name := variable.lower()).startswith(prefix.lower())}
    found = {}
    for name in sorted(names):
        given = name.removeprefix(prefix.lower())
        if given not in kind.model_fields and (near := _nearest(given, kind.model_fields)):
            found[names[name]] = f"{prefix}{near}".upper()
    return found


def unheeded(kind: type[BaseSettings]) -> list[str]:
    """Return what to say to people of the variables that are misspelt."""
    return [
        f"{given} is not a setting, and is not heeded: did you mean {near}?" for given, near in misspelt(kind).items()
    ]


def printable(settings: ServiceSettings) -> str:
    """Return the settings as JSON with secrets masked."""
    values = {name: _masked(getattr(settings, name)) for name in type(settings).model_fields}
    return json.dumps(values, indent=2, default=str)


def _explain(kind: type[BaseSettings], problem: Any) -> str:
    name = str(problem["loc"][0])
    variable = f"{kind.model_config['env_prefix']}{name}".upper()
    if problem["type"] == "missing":
        return f"{variable} is not set, and has no default"
    field = kind.model_fields.get(name)
    secret = field is not None and field.annotation in (SecretStr, SecretStr | None)
    secret |= problem["type"] == MALFORMED_DSN and problem["input"] != ""
    given = "***" if secret else _masked(problem["input"], malformed=True)
    return f"{variable} is {given!r}: {problem['msg']}"


def _nearest(given: str, names: Iterable[str]) -> str | None:
    # Two letters the wrong way round are the half of a short name.
    turned = (name for name in names if sorted(name) == sorted(given))
    return next(turned, None) or next(iter(get_close_matches(given, names, 1, _NEAR)), None)


def _masked(value: object, *, malformed: bool = False) -> object:
    if isinstance(value, SecretStr):
        return "***"
    if not isinstance(value, str):
        return value
    if malformed and "://" not in value and "@" in value:
        return f"***@{value.rpartition('@')[2]}"
    return _PASSWORD_IN_URL.sub(lambda found: f"{found[1]}:***@" if found[2] is not None else "***", value)
