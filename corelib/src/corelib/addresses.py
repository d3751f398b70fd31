"""Addresses, among the settings or in code: a malformed one is told before anything is opened, without its password."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from corelib.errors import SettingsError

MALFORMED_DSN = "postgres_dsn"
"""The type of the error of a `Dsn`: of what is wrong in it, one cannot tell where its password begins and ends."""
_HIGHEST_PORT = 65_535
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._%-]*)(?::(?P<port>\d+))?")
# asyncpg takes the last @ for the end of the password; where there is no host, it looks for a socket.
_DSN = re.compile(r"postgres(?:ql)?://(?:[^\s/?#\[\]]*@)?(?P<hosts>[^\s/?#@]*)(?:/[^\s?#]*)?(?:\?[^\s#]*)?")
_URL = re.compile(r"https?://(?:[^\s/?#\[\]]*@)?(?P<host>[^\s/?#@]+)(?:/[^\s?#]*)?")


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    return found is not None and (found["port"] is None or 0 < int(found["port"]) <= _HIGHEST_PORT)


def _dsn(value: str) -> str:
    found = _DSN.fullmatch(value)
    if found is None or not all(map(_is_host, found["hosts"].split(","))):
        raise PydanticCustomError(
            MALFORMED_DSN,
            "it should be postgresql://user:password@host:port/database, with %-codes for special characters",
        )
    return value


def _bootstrap(value: str) -> str:
    servers = [server.strip() for server in value.split(",")]
    if not all(_is_host(server) and server.rpartition(":")[0] and not server.endswith("]") for server in servers):
        raise PydanticCustomError("kafka_bootstrap", "it should be host:port, or several of them joined by commas")
    return value


def _url(value: str) -> str:
    found = _URL.fullmatch(value)
    if found is None or not _is_host(found["host"]) or found["host"].startswith(":"):
        raise PydanticCustomError("http_url", "it should be http://host:port, or https, and perhaps a path")
    return value


Dsn = Annotated[str, AfterValidator(_dsn)]
"""Where a PostgreSQL is."""
Bootstrap = Annotated[str, AfterValidator(_bootstrap)]
"""Where some of Kafka's brokers are."""
Url = Annotated[str, AfterValidator(_url)]
"""Where an HTTP server is."""


def require(kind: Any, name: str, value: str) -> None:
    """Raise `SettingsError` where an argument of this name is no address of this kind."""
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise SettingsError(f"{name}: {error.errors()[0]['msg']}") from None
