"""The service that a command is about: found by the name of its `build` function, as it would be started."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from corelib.config import ServiceSettings, load
from corelib.errors import UsageError
from corelib.memory.store import Memory
from corelib.service import Service


@dataclass(frozen=True)
class Target:
    """`app` is `module:function`, or the name of a module that has a `build`, or of a package whose `app` has one."""

    app: str

    def service(self, **changes: Any) -> Service:
        """Build the service from its settings, some of them changed. Raises `UsageError` or `SettingsError`."""
        build = self._build()
        settings = load(_settings_of(build, self.app))
        service = build(settings.model_copy(update=changes))
        if isinstance(service.store, Memory):
            raise UsageError(f"{service.name} keeps all in the memory of its own process: no command can look into it")
        return service

    def _build(self) -> Callable[[ServiceSettings], Service]:
        module, _, function = self.app.partition(":")
        if not module:
            raise UsageError("no service is named: give --app svc_mine.app:build, or set CORELIB_APP")
        # As `python -m` does: a service need not be installed to be looked after.
        sys.path.insert(0, str(Path.cwd()))
        found = _module(module, self.app)
        build = getattr(found, function or "build", None)
        if not callable(build):
            raise UsageError(f"--app {self.app}: the module {found.__name__} has no function {function or 'build'!r}")
        return build  # type: ignore[no-any-return]  # what it takes and returns is looked at before it is used


def _module(name: str, app: str) -> Any:
    try:
        found = importlib.import_module(name)
        if ":" not in app and hasattr(found, "__path__") and importlib.util.find_spec(f"{name}.app"):
            return importlib.import_module(f"{name}.app")
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise UsageError(f"--app {app}: there is no module {name!r} here or among what is installed") from error
        raise UsageError(f"--app {app}: the module {name!r} needs {error.name}, which is not installed") from error
    return found


def _settings_of(build: Callable[..., Any], app: str) -> type[ServiceSettings]:
    """Return the class that the first parameter is annotated with."""
    first = next(iter(inspect.signature(build).parameters), None)
    kind = get_type_hints(build).get(first or "")
    if not (isinstance(kind, type) and issubclass(kind, ServiceSettings)):
        raise UsageError(f"--app {app}: its first parameter must be annotated with the service's settings class")
    return kind
