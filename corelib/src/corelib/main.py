"""The command line of a service: `python -m svc_mine`."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import uvloop

from corelib import logs
from corelib.config import OF_SERVERS, PREFIX, ServiceSettings, load, misspelt, printable, unheeded
from corelib.errors import CorelibError, SettingsError
from corelib.service import PARTS, Service
from corelib.tuning import tune

S = TypeVar("S", bound=ServiceSettings)

_TRIAL = """to try it alone, if it was built for that:
  {program} --in-memory &
  curl http://127.0.0.1:{port}/in-memory/tokens --json '{{"roles": ["admin"]}}'
      a token: send it as Authorization: Bearer
  curl http://127.0.0.1:{port}/in-memory/events
      what was published; what could not be handled is under /in-memory/parked
  http://127.0.0.1:{port}/docs
      its API, and how to hand in the events of other services"""

log = logs.get_logger(__name__)


def main(kind: type[S], build: Callable[[S], Service]) -> None:
    """Read the settings, build the service, do what the flags say, and exit."""
    options = _parser(kind).parse_args()
    try:
        settings = _settings(kind, options)
        if options.print_config:
            for line in unheeded(kind):
                print(line, file=sys.stderr)  # noqa: T201 -- as below
            print(printable(settings))  # noqa: T201 -- what was asked for
            return
        service = _heeding(build(settings))
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- a command line speaks on standard error
        raise SystemExit(2) from None
    if options.describe:
        print(json.dumps(service.describe(), indent=2))  # noqa: T201 -- what was asked for
        return
    if options.provision:
        logs.configure(service=service.name, level=settings.log_level, form=settings.log_format)
        raise SystemExit(_provision(service))
    try:
        serve(service)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- as above
        raise SystemExit(2) from None


def serve(service: Service) -> None:
    """Run a service in this process until it is told to stop. Raises `SettingsError` for an address that is taken."""
    logs.configure(service=service.name, level=service.settings.log_level, form=service.settings.log_format)
    for given, near in misspelt(type(service.settings)).items():
        log.warning("a variable is not a setting, and is not heeded", variable=given, nearest=near)
    if service.settings.in_memory:
        log.warning("everything is in memory and is lost at exit", see=f"{service.settings.url}/docs")
    tune()
    uvloop.run(service.run())


def _provision(service: Service) -> int:
    try:
        asyncio.run(service.provision())
    except CorelibError as error:
        print(f"Could not provision: {error}", file=sys.stderr)  # noqa: T201 -- a command line speaks
        return 1
    return 0


def _settings(kind: type[S], options: argparse.Namespace) -> S:
    settings = load(kind)
    given = {name: value for name in ("only", "in_memory") if (value := getattr(options, name))}
    settings = settings.model_copy(update=given)
    _require_parts(settings)
    if settings.in_memory:
        _require_alone(settings, provision=options.provision)
    return settings


def _require_alone(settings: ServiceSettings, *, provision: bool) -> None:
    """Refuse what a service in memory would not heed: whoever set it does not want its data lost."""
    unheeded = [f"{PREFIX}{name}".upper() for name in sorted(settings.model_fields_set) if name.startswith(OF_SERVERS)]
    if provision or settings.provision:
        unheeded.append("provisioning")
    if settings.only:
        unheeded.append("--only")
    if unheeded:
        raise SettingsError(f"--in-memory is one process without any server: it does not go with {', '.join(unheeded)}")


def _heeding(service: Service) -> Service:
    """Return the service; raise `SettingsError` where it was built on servers though it shall run in memory."""
    if service.settings.in_memory and service.alone is None:
        raise SettingsError(
            f"{service.name} does not heed --in-memory: where settings.in_memory is true, its build() must give"
            " Service(..., alone=Alone(...)) and a store in memory"
        )
    return service


def _program() -> str:
    """Return how this process was started, as one would type it."""
    spec = sys.modules["__main__"].__spec__
    return f"python -m {spec.name.removesuffix('.__main__')}" if spec else f"python {Path(sys.argv[0]).name}"


def _require_parts(settings: ServiceSettings) -> None:
    unknown = set(filter(None, settings.only.split(","))) - set(PARTS)
    if unknown:
        raise SettingsError(f"{PREFIX}ONLY is {settings.only!r}: allowed are {', '.join(PARTS)}, joined by commas")


def _parser(kind: type[ServiceSettings]) -> argparse.ArgumentParser:
    variables = "\n".join(
        f"  {PREFIX}{name.upper():28} {field.description or ''} "
        f"[{'required' if field.is_required() else field.default}]"
        for name, field in kind.model_fields.items()
    )
    program = _program()
    parser = argparse.ArgumentParser(
        prog=program,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"variables:\n{variables}\n\n{_TRIAL.format(program=program, port=kind.model_fields['port'].default)}",
    )
    parser.add_argument("--print-config", action="store_true", help="print the settings, secrets masked, and exit")
    parser.add_argument("--describe", action="store_true", help="print what the service needs to exist, as JSON")
    parser.add_argument("--provision", action="store_true", help="create tables, topics, queues and buckets, and exit")
    parser.add_argument(
        "--in-memory",
        action="store_true",
        help="run alone, without any server or variable; all is lost at exit",
    )
    parser.add_argument("--only", metavar="PARTS", help=f"run only these parts: {','.join(PARTS)}")
    return parser
