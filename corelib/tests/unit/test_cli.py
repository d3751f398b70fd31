"""The command line's frame: how a service is named, and how what goes wrong is said."""

import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from corelib.cli import frame, main
from corelib.cli.target import Target
from corelib.errors import Unavailable, UsageError

SERVICE = """
from pydantic import Field

from corelib.config import ServiceSettings
from corelib.postgres.store import Postgres
from corelib.service import Service


class {name}Settings(ServiceSettings):
    shelves: int = Field(default=3, ge=1)


def build(settings: {name}Settings) -> Service:
    return Service("{name}", settings, store=Postgres(settings.postgres_dsn))


def bare(settings):
    return None
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.delenv("CORELIB_APP", raising=False)
    return tmp_path


@pytest.fixture
def app(here: Path, request: pytest.FixtureRequest) -> str:
    """Name a package with an `app` in the folder where the command is given; modules are imported once, so its own."""
    name = f"svc_{abs(hash(request.node.nodeid))}"
    (here / name).mkdir()
    (here / name / "__init__.py").touch()
    (here / name / "app.py").write_text(SERVICE.format(name=name))
    return name


@pytest.mark.parametrize("form", ["{}", "{}.app", "{}.app:build"])
def test_a_service_is_found_by_package_module_or_function(app: str, form: str) -> None:
    service = Target(form.format(app)).service(only="relay")
    assert (service.name, service.settings.only) == (app, "relay")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "--app"),
        ("no_such_module", "no module 'no_such_module'"),
        ("{}.no_such", "no module"),
        ("{}.app:make", "no function 'make'"),
        ("{}.app:bare", "annotated with the service's settings class"),
        ("json:dumps", "annotated with the service's settings class"),
    ],
)
def test_a_service_that_cannot_be_found_is_said_in_a_sentence(app: str, given: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Target(given.format(app)).service()


def test_a_relay_whose_port_its_service_has_is_told_how_to_get_another(
    app: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("corelib.logs.configure", lambda **_: None)  # both are of the whole process
    monkeypatch.setattr("corelib.main.tune", lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("SOUK_PORT", str(taken.getsockname()[1]))
        assert main.main(["--app", app, "relay"]) == frame.USAGE
    assert "address already in use; --port gives this process one of its own\n" in capsys.readouterr().err


def test_a_service_in_memory_is_not_looked_into_from_outside(here: Path) -> None:
    (here / "forgetful_service.py").write_text(
        SERVICE.format(name="Forgetful")
        .replace("corelib.postgres.store import Postgres", "corelib.memory.store import Memory")
        .replace("Postgres(settings.postgres_dsn)", "Memory()")
    )
    with pytest.raises(UsageError, match="in the memory of its own process"):
        Target("forgetful_service").service()


def test_a_module_that_misses_another_names_that_one(here: Path) -> None:
    (here / "needy_service.py").write_text("import no_such_dependency\n")
    with pytest.raises(UsageError, match="needs no_such_dependency"):
        Target("needy_service").service()


def test_a_wrong_setting_is_named_and_ends_with_2(
    app: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOUK_SHELVES", "none")
    assert main.main(["--app", app, "relay"]) == frame.USAGE
    assert "SOUK_SHELVES is 'none'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["relay", "--port", "99999"], ["relay"]])
def test_a_wrong_command_ends_with_2(arguments: list[str]) -> None:
    assert main.main(arguments) == frame.USAGE


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ("relay --app svc_mine", "--app svc_mine relay"),
        ("outbox migrate --app=svc_mine --dry-run", "--app=svc_mine outbox migrate --dry-run"),
        ("parked --app svc_mine skip 'Till.paid now' k", "--app svc_mine parked skip 'Till.paid now' k"),
    ],
)
def test_an_app_that_is_named_behind_the_command_is_shown_its_place(
    arguments: str, right: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(shlex.split(arguments)) == frame.USAGE
    assert capsys.readouterr().err == f"put --app before the command: corelib {right}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["relay", "--nonsense"], "No such option: --nonsense"), (["--app=svc_mine"], "Missing command")],
)
def test_what_is_no_option_or_has_no_command_is_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(arguments) == frame.USAGE
    assert said in capsys.readouterr().err


def test_help_teaches_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["relay", "--help"]) == frame.OK
    assert "corelib --app svc_product relay" in capsys.readouterr().out


def test_what_fails_is_a_sentence_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise Unavailable("postgres", "it is asleep")

    assert frame.spoken(command) == frame.FINDINGS
    assert capsys.readouterr().err == "Failed: postgres is unavailable: it is asleep\n"


def test_a_service_imports_none_of_the_command_line() -> None:
    script = "import sys, corelib.main, corelib.testing.desk; print({'typer', 'corelib.cli'} & sys.modules.keys())"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "set()"
