"""Single parts for tests: `with postgres_server(folder) as dsn`, or `async with`; on free ports, gone at the end."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from devstack import jars
from devstack.services import SPARK_JARS
from devstack.settings import StackSettings, free_ports
from devstack.stack import Stack


class Server:
    """One running part: its address is what `with` gives."""

    def __init__(self, part: str, settings: StackSettings, address: Callable[[StackSettings], str]) -> None:
        self.part = part
        self.stack = Stack(settings)
        self._address = address

    async def crash(self) -> None:
        """Kill it with all its children: its data stay as they lie."""
        await self.stack.crash(self.part)

    async def restart(self) -> None:
        """Start it again on the same data and port, after a crash or not."""
        await self.stack.restart(self.part)

    async def __aenter__(self) -> str:
        await self.stack.up([self.part])
        return self._address(self.stack.settings)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stack.down()

    def __enter__(self) -> str:
        return str(_in_thread(self.__aenter__()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _in_thread(self.__aexit__(kind, error, trace))


def postgres_server(folder: Path, port: int | None = None) -> Server:
    """Return a PostgreSQL with its data in `folder`; `with` gives its DSN."""
    settings = _alone(folder, postgres_port=port)
    return Server("postgres", settings, lambda used: used.postgres_dsn)


def kafka_server(
    folder: Path,
    port: int | None = None,
    *,
    doors: Mapping[int, int] | None = None,
    locks: Mapping[int, Mapping[str, str]] | None = None,
    rights: bool = False,
) -> Server:
    """Return a Kafka broker with its log in `folder`; `with` gives its bootstrap address.

    `doors` are further ports, each with the one that clients are told to come back to: a cable's (`devstack.cable`).
    `locks` are what such ports ask of clients: the listener's settings, with `security.protocol`. With `rights` topics
    and groups ask for them as soon as they have an access control list, but for who comes in plain text.
    """
    settings = _alone(folder, kafka_port=port).model_copy(
        update={"kafka_doors": doors or {}, "kafka_locks": locks or {}, "kafka_rights": rights}
    )
    return Server("kafka", settings, lambda used: used.kafka_bootstrap)


def aws_emulator(folder: Path, port: int | None = None) -> Server:
    """Return an AWS emulator with its state in `folder`; `with` gives its endpoint URL."""
    settings = _alone(folder, aws_port=port)
    return Server("aws", settings, lambda used: used.aws_endpoint_url)


def bigquery_emulator(folder: Path, port: int | None = None) -> Server:
    """Return a BigQuery emulator with its data in `folder`; `with` gives its URL."""
    settings = _alone(folder, bigquery_port=port)
    return Server("bigquery", settings, lambda used: used.bigquery_url)


def spark_jars() -> str:
    """Return the files of Spark's connector to Kafka, as `spark.jars` wants them."""
    folder = _in_thread(jars.fetch("spark", SPARK_JARS, StackSettings().cache))
    return ",".join(str(folder / jar.file) for jar in jars.read_list(SPARK_JARS))


def _alone(folder: Path, **ports: int | None) -> StackSettings:
    fixed = {name: free_ports(1)[0] if port is None else port for name, port in ports.items()}
    settings = StackSettings.on_free_ports(folder, **fixed)
    return settings.model_copy(
        update={"external_postgres": None, "external_kafka": None, "external_aws": None, "external_bigquery": None}
    )


def _in_thread(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end in a thread of its own: the caller's may have an event loop at work."""
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 -- handed to the caller's thread below
            failure.append(error)

    thread = threading.Thread(target=run, name="devstack-part")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
