"""Settings: what is wrong is named, what is secret is not shown."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field, SecretStr
from structlog.testing import capture_logs

from corelib.aws.clients import Aws
from corelib.config import Port, ServiceSettings, load, misspelt, printable
from corelib.errors import SettingsError
from corelib.kafka.broker import Kafka
from corelib.main import main
from corelib.memory.store import Memory
from corelib.postgres.store import Postgres
from corelib.service import Service


class Settings(ServiceSettings):
    port: Port = 8099
    attempts: int = Field(default=3, ge=1)
    folder: Path = Path()
    token: SecretStr


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUK_TOKEN", "s3cret")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUK_ATTEMPTS", "5")
    settings = load(Settings)
    assert (settings.attempts, settings.port, settings.token.get_secret_value()) == (5, 8099, "s3cret")


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("SOUK_PORT", "65536", "less than or equal to 65535"),
        ("SOUK_ATTEMPTS", "0", "greater than or equal to 1"),
        ("SOUK_ATTEMPTS", "many", "valid integer"),
        ("SOUK_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_given_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as told:
        load(Settings)
    (line,) = str(told.value).splitlines()
    assert line.startswith(f"{variable} is {value!r}: ")
    assert allowed in line


@pytest.mark.parametrize(
    ("variable", "value", "given", "allowed"),
    [
        *(
            ("SOUK_POSTGRES_DSN", value, given, "postgresql://user:password@host:port/database")
            for value, given in [
                ("", "''"),
                ("postgres//x", "'***'"),
                ("souk:p4ss", "'***'"),
                ("mysql://souk:p4ss@db/souk", "'***'"),
                ("postgresql://souk:p4ss@db:54x2/souk", "'***'"),
                ("postgresql://souk:p4ss@db:65536/souk", "'***'"),
                ("postgresql://souk:p4ss@db:0/souk", "'***'"),
                ("postgresql://souk:p4ss/p4ss@db/souk", "'***'"),
                ("postgresql://souk:p4ss#p4ss@db/souk", "'***'"),
                ("postgresql://souk:p4ss[p4ss@db/souk", "'***'"),
                ("host=db password=p4ss", "'***'"),
            ]
        ),
        *(
            ("SOUK_KAFKA_BOOTSTRAP", value, repr(value), "host:port, or several of them joined by commas")
            for value in [
                "",
                "kafka",
                "kafka:",
                ":9092",
                "kafka:9092,",
                "kafka://kafka:9092",
                "a:9092;b:9092",
                "a:99999",
            ]
        ),
        ("SOUK_KAFKA_BOOTSTRAP", "SSL://u:p4ss@kafka:9092", "'SSL://u:***@kafka:9092'", "host:port"),
        *(
            ("SOUK_AWS_ENDPOINT_URL", value, repr(value), "http://host:port")
            for value in [
                "localhost:4566",
                "http//localhost:4566",
                "http://",
                "http://:4566",
                "http://a:b",
                "ftp://a",
                "http://a?b",
            ]
        ),
        ("SOUK_AWS_ENDPOINT_URL", "http//u:p4ss@a", "'***@a'", "http://host:port"),
        ("SOUK_JWKS_URL", "", "''", "http://host:port"),
    ],
)
def test_a_malformed_address_is_named_with_what_is_expected_and_without_its_password(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, given: str, allowed: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as told:
        load(Settings)
    (line,) = str(told.value).splitlines()
    assert line.startswith(f"{variable} is {given}: it should be ")
    assert allowed in line
    assert "p4ss" not in line


@pytest.mark.parametrize(
    ("opens", "said"),
    [
        (lambda: Postgres("postgresql://souk:p4ss@db:none/souk"), "dsn: it should be postgresql://"),
        (lambda: Kafka("localhost"), "bootstrap: it should be host:port"),
        (lambda: Aws(endpoint_url="localhost:4566"), "endpoint_url: it should be http://host:port"),
    ],
)
def test_a_malformed_address_in_code_is_told_as_well(opens: Callable[[], object], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as told:
        opens()
    assert "p4ss" not in str(told.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SOUK_POSTGRES_DSN", "postgresql:///souk?host=/run/postgresql"),
        (
            "SOUK_POSTGRES_DSN",
            "postgres://souk:p@ss%2F@db-1.internal:5432,[::1]:5433/souk?target_session_attrs=primary",
        ),
        ("SOUK_POSTGRES_DSN", "postgresql://souk@127.0.0.1"),
        ("SOUK_KAFKA_BOOTSTRAP", "b-1.msk.amazonaws.com:9098, b_2:9098,[::1]:9092"),
        ("SOUK_AWS_ENDPOINT_URL", "https://aws.internal/emulator/"),
        ("SOUK_JWKS_URL", "http://[::1]:8081/.well-known/jwks.json"),
    ],
)
def test_an_address_may_have_any_form_that_its_client_takes(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(load(Settings), variable.removeprefix("SOUK_").lower()) == value


def test_no_endpoint_is_aws_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUK_AWS_ENDPOINT_URL", "")
    assert load(Settings).aws().endpoint_url is None


def test_a_variable_that_is_nearly_that_of_a_setting_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POSTGRES_DNS", "KAFKA_BOOSTRAP", "PROT", "LOGLEVEL", "Attempt"):
        monkeypatch.setenv(f"SOUK_{name}", "x")
    assert misspelt(Settings) == {
        "SOUK_POSTGRES_DNS": "SOUK_POSTGRES_DSN",
        "SOUK_KAFKA_BOOSTRAP": "SOUK_KAFKA_BOOTSTRAP",
        "SOUK_PROT": "SOUK_PORT",
        "SOUK_LOGLEVEL": "SOUK_LOG_LEVEL",
        "SOUK_Attempt": "SOUK_ATTEMPTS",
    }


def test_variables_of_other_programs_are_not_taken_for_misspelt(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POSTGRES_PORT", "TEST_POSTGRES_DSN", "HOME", "PROVIDER_PORT", "RESERVATION_SECONDS", "GATEWAY_PORT"):
        monkeypatch.setenv(f"SOUK_{name}", "x")
    monkeypatch.setenv("souk_port", "8099")
    monkeypatch.setenv("POSTGRES_DNS", "x")
    assert misspelt(Settings) == {}


def test_a_misspelt_variable_is_said_where_its_setting_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOUK_TOKEN")
    monkeypatch.setenv("SOUK_TOKNE", "s3cret")
    with pytest.raises(SettingsError) as told:
        load(Settings)
    assert str(told.value).splitlines() == [
        "SOUK_TOKEN is not set, and has no default",
        "SOUK_TOKNE is not a setting, and is not heeded: did you mean SOUK_TOKEN?",
    ]


def test_a_misspelt_variable_is_said_at_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(settings: Settings) -> Service:
        built = Service("spelt", settings, store=Memory())
        monkeypatch.setattr(built, "run", nothing)
        return built

    async def nothing() -> None:
        """End at once."""

    monkeypatch.setenv("SOUK_POSTGRES_DNS", "postgresql://souk:p4ss@db/souk")
    monkeypatch.setattr("corelib.logs.configure", lambda **_: None)  # both are of the whole process
    monkeypatch.setattr("corelib.main.tune", lambda: None)
    monkeypatch.setattr("sys.argv", ["svc"])
    with capture_logs() as said:
        main(Settings, build)
    assert [(line["log_level"], line["variable"], line["nearest"]) for line in said] == [
        ("warning", "SOUK_POSTGRES_DNS", "SOUK_POSTGRES_DSN")
    ]
    monkeypatch.setattr("sys.argv", ["svc", "--print-config"])
    main(Settings, build)
    printed = capsys.readouterr()
    assert printed.err == "SOUK_POSTGRES_DNS is not a setting, and is not heeded: did you mean SOUK_POSTGRES_DSN?\n"
    assert json.loads(printed.out)["postgres_dsn"] == Settings.model_fields["postgres_dsn"].default


def test_a_service_with_a_malformed_address_ends_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOUK_POSTGRES_DSN", "postgres//x")
    monkeypatch.setattr("sys.argv", ["svc"])
    with pytest.raises(SystemExit) as ended:
        main(Settings, lambda _: pytest.fail("it was built"))
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("SOUK_POSTGRES_DSN is '***': it should be postgresql://")


def test_every_wrong_value_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUK_PORT", "-1")
    monkeypatch.delenv("SOUK_TOKEN")
    with pytest.raises(SettingsError) as told:
        load(Settings)
    assert [line.split()[0] for line in str(told.value).splitlines()] == ["SOUK_PORT", "SOUK_TOKEN"]
    assert "SOUK_TOKEN is not set, and has no default" in str(told.value)


def test_nothing_printed_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUK_POSTGRES_DSN", "postgresql://souk:p4ss@db/souk")
    shown = printable(load(Settings))
    assert json.loads(shown)["token"] == "***"
    assert json.loads(shown)["postgres_dsn"] == "postgresql://souk:***@db/souk"
    assert "s3cret" not in shown
    assert "p4ss" not in shown


@pytest.mark.parametrize("dsn", ["postgresql://souk:p4ss@p4ss@db/souk", "postgresql://db/souk?user=souk&password=p4ss"])
def test_a_password_is_hidden_wherever_it_stands(monkeypatch: pytest.MonkeyPatch, dsn: str) -> None:
    monkeypatch.setenv("SOUK_POSTGRES_DSN", dsn)
    shown = printable(load(Settings))
    assert "***" in shown
    assert "p4ss" not in shown
